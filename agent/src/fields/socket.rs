//! A socket as fields see it: which end is ours, who called whom.
//!
//! Who is the server is known for connect and sendto (the other end) and for accept, bind and listen (this one). Of a connected
//! socket that came some other way (dup, splice) the record does not say who called: this end is taken for the server when its
//! port is below the ephemeral ones and the other end's is not.
use crate::probe::record::{Call, Connect};
use engine::{
    event::Hook,
    field::Field,
    value::{Lookup, Value},
};
use std::net::IpAddr;

/// Where ephemeral ports begin unless a node sets it otherwise (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: u16 = 32768;

/// An address and a port.
type End = (IpAddr, u16);

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Socket<'a> {
    local: Option<End>,
    remote: Option<End>,
    unix_path: &'a [u8],
    family: u16,
    l4proto: u16,
    /// This end is the server.
    server: bool,
    connected: bool,
    /// An address was given to the call.
    named: bool,
}

impl<'a> Socket<'a> {
    /// Of a connect.
    pub(super) fn of_connect(c: &Connect<'a>) -> Self {
        Self {
            local: end(c.local_addr, c.local_port),
            remote: end(c.addr, c.port),
            unix_path: c.unix_path,
            family: c.family,
            l4proto: c.l4proto,
            server: false,
            connected: c.ret == 0,
            named: true,
        }
    }

    /// Of another call; `None` when it is about no socket.
    pub(super) fn of_call(call: &Call<'a>, hook: Hook) -> Option<Self> {
        let c = call.socket.as_ref()?;
        let whole = Self { connected: call.connected, named: call.given, ..Self::of_connect(c) };
        // Unbound is no address.
        let bound = whole.local.filter(|(_, port)| *port != 0);
        Some(match hook {
            // The address is this end's. Once bound the socket has the port that it got.
            Hook::Bind => Self { local: bound.or(whole.remote), remote: None, server: true, ..whole },
            Hook::Accept | Hook::Listen => Self { local: bound, server: true, ..whole },
            Hook::Send => whole,
            _ => Self { local: bound, server: is_likely_server(bound, whole.remote), ..whole },
        })
    }

    /// Of a socket that is a standard stream.
    pub(super) fn of_stream(ends: &Connect<'a>, connected: bool) -> Self {
        let whole = Self { connected, named: false, ..Self::of_connect(ends) };
        let bound = whole.local.filter(|(_, port)| *port != 0);
        Self { local: bound, server: is_likely_server(bound, whole.remote), ..whole }
    }

    fn client(&self) -> Option<End> {
        if self.server { self.remote } else { self.local }
    }

    fn host(&self) -> Option<End> {
        if self.server { self.local } else { self.remote }
    }

    /// Type, letter, family.
    pub(super) fn kind(&self) -> (Option<&'static str>, &'static str, Option<&'static str>) {
        match (self.remote.or(self.local), i32::from(self.family)) {
            (Some((IpAddr::V4(_), _)), _) | (None, libc::AF_INET) => (Some("ipv4"), "4", Some("ip")),
            (Some((IpAddr::V6(_), _)), _) | (None, libc::AF_INET6) => (Some("ipv6"), "6", Some("ip")),
            (None, libc::AF_UNIX) => (Some("unix"), "u", Some("unix")),
            (None, libc::AF_NETLINK) => (Some("netlink"), "n", None),
            _ => (None, "o", None),
        }
    }

    /// `client:port->server:port`; of a socket that is only bound its own address; or the path of a unix socket (`@` stands for
    /// the NUL of an abstract name).
    pub(super) fn name(&self) -> Option<Vec<u8>> {
        let text = |end: Option<End>| end.map(|(addr, port)| format!("{addr}:{port}")).unwrap_or_default();
        match (self.remote, self.local) {
            (Some(_), _) => Some(format!("{}->{}", text(self.client()), text(self.host())).into_bytes()),
            (None, Some(_)) if !self.unix_path.is_empty() => self.unix_name(),
            (None, local @ Some((_, port))) if port != 0 => Some(text(local).into_bytes()),
            _ => self.unix_name(),
        }
    }

    /// The address that was given, else the peer's; of bind its own.
    pub(super) fn address(&self) -> Option<Vec<u8>> {
        let end = self.remote.or(if self.server { self.local } else { None });
        end.map_or_else(|| self.unix_name(), |(addr, port)| Some(format!("{addr}:{port}").into_bytes()))
    }

    fn unix_name(&self) -> Option<Vec<u8>> {
        match self.unix_path {
            [] => None,
            [0, rest @ ..] => Some([b"@", rest].concat()),
            path => Some(path.to_vec()),
        }
    }

    /// The fields that sockets have; `None` for others.
    pub(super) fn field(&self, field: Field) -> Option<Lookup<'static>> {
        let (kind, letter, family) = self.kind();
        let (local, remote) = (self.local, self.remote);
        Some(match field {
            Field::FdType => kind.into(),
            Field::FdTypechar => letter.into(),
            Field::FdSockfamily => family.into(),
            Field::FdName => self.name().into(),
            Field::FdIp | Field::FdNet => either(ip(local), ip(remote)),
            Field::FdCip | Field::FdCnet => ip(self.client()),
            Field::FdSip | Field::FdSnet => ip(self.host()),
            Field::FdLip | Field::FdLnet => ip(local),
            Field::FdRip | Field::FdRnet => ip(remote),
            Field::FdPort => either(port(local), port(remote)),
            Field::FdCport => port(self.client()),
            Field::FdSport => port(self.host()),
            Field::FdLport => port(local),
            Field::FdRport => port(remote),
            Field::FdL4proto => match i32::from(self.l4proto) {
                libc::IPPROTO_TCP => "tcp".into(),
                libc::IPPROTO_UDP => "udp".into(),
                libc::IPPROTO_ICMP | libc::IPPROTO_ICMPV6 => "icmp".into(),
                libc::IPPROTO_RAW => "raw".into(),
                _ => Lookup::Missing,
            },
            Field::FdIsServer => Lookup::Value(Value::Bool(self.server)),
            Field::FdConnected => Lookup::Value(Value::Bool(self.connected)),
            Field::FdNameChanged => Lookup::Value(Value::Bool(self.named)),
            _ => return None,
        })
    }
}

/// IPv4 in IPv6 form is IPv4.
fn end(addr: Option<IpAddr>, port: u16) -> Option<End> {
    addr.map(|a| (a.to_canonical(), port))
}

fn is_likely_server(local: Option<End>, remote: Option<End>) -> bool {
    match (local, remote) {
        (Some((_, local)), Some((_, remote))) => local < EPHEMERAL && remote >= EPHEMERAL,
        (local, _) => local.is_some(),
    }
}

fn ip(end: Option<End>) -> Lookup<'static> {
    end.map_or(Lookup::Missing, |(addr, _)| Lookup::Value(Value::Ip(addr)))
}

fn port(end: Option<End>) -> Lookup<'static> {
    end.map_or(Lookup::Missing, |(_, port)| Lookup::Value(Value::Uint(u64::from(port))))
}

fn either(a: Lookup<'static>, b: Lookup<'static>) -> Lookup<'static> {
    let value = |l| if let Lookup::Value(v) = l { Some(v) } else { None };
    let values: Vec<_> = [a, b].into_iter().filter_map(value).collect();
    if values.is_empty() { Lookup::Missing } else { Lookup::Value(Value::List(values)) }
}
