#!/usr/bin/env bash
# Installs what the tests need on a Debian machine. What is there already is left alone.
set -euo pipefail

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
command -v openssl >/dev/null || missing+=(openssl)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
command -v chromium >/dev/null || missing+=(chromium)
command -v node >/dev/null || missing+=(nodejs)
command -v c++ >/dev/null || missing+=(g++)
command -v npm >/dev/null || missing+=(npm)
command -v php >/dev/null || missing+=(php-cli)
if ((${#missing[@]} > 0)); then
  echo "tests/deps.sh: installing ${missing[*]}" >&2
  sudo=()
  if ((EUID != 0)); then sudo=(sudo); fi
  export DEBIAN_FRONTEND=noninteractive
  "${sudo[@]}" apt-get update -qq
  # The tests start their own servers: the system's shall not start one.
  "${sudo[@]}" env RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
redis-server --version
chromium --version
node --version
if ! node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)'; then
  echo "the browser tests need Node 20 or later" >&2
  exit 1
fi
