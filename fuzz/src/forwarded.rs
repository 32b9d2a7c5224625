//! `X-Forwarded-For`, one field a line.

use std::net::{IpAddr, Ipv4Addr};

use relatch::http::forwarded::TrustedProxies;

/// An address that is trusted is only ever the client's if nobody before it is known.
pub fn look_at(data: &[u8]) {
    let network = "10.0.0.0/8".parse().expect("a network");
    let proxies = TrustedProxies::new(vec![network]);
    let fields = || data.split(|byte| *byte == b'\n');
    let (stranger, proxy) = (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(10, 0, 0, 1).into());
    let client = |peer: IpAddr| proxies.client(peer, fields()).address;
    assert_eq!(client(stranger), stranger, "a stranger is believed");

    // A trusted proxy that puts the stranger's address last is believed in that.
    let said = [data, b", 192.0.2.1"].concat();
    let told = proxies.client(proxy, said.split(|byte| *byte == b'\n'));
    assert_eq!(told.address, stranger);
    let _ = client(proxy);
}
