# The toolchain is that of rust-toolchain.toml; a test compares them.
FROM rust:1.95.0-bookworm AS build
# Without it rustup would read rust-toolchain.toml and fetch the tools of developers.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
# Crates and what was built of them stay in caches between builds, so that only what changed is built again.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --bin relatch \
    && cp target/dist/relatch /relatch

FROM debian:bookworm-slim
# Authorities for rediss:// servers with a public certificate.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /relatch /usr/local/bin/relatch
USER 10001:10001
# For the embedded store, if nothing else is configured: mount a volume there that this user may write to.
WORKDIR /var/lib/relatch
EXPOSE 8080
# Whether the process answers. Not whether Redis does: to start the server again would not help.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /health/live HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["relatch"]
CMD ["serve"]
