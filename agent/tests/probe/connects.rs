//! Sockets connected, or not.
use crate::support::{everything, live};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        linux::net::SocketAddrExt as _,
        unix::net::{UnixListener, UnixStream},
    },
};

fn loopback(six: bool) -> IpAddr {
    if six { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
}

#[test]
fn accepted_by_both_families() {
    let Some(mut live) = live(&everything(1)) else { return };
    for six in [false, true] {
        let ip = loopback(six);
        let listener = match TcpListener::bind((ip, 0)) {
            Ok(listener) => listener,
            Err(error) => {
                println!("skipped: cannot listen on {ip}: {error}");
                continue;
            }
        };
        let there = listener.local_addr().unwrap();
        let stream = TcpStream::connect(there).unwrap();
        let (header, connect, _) = live.connect(stream.as_raw_fd());
        assert_eq!((header.pid, header.event_type.as_str()), (std::process::id(), "connect"));
        assert_eq!((connect.addr, connect.port), (Some(ip), there.port()));
        let here = stream.local_addr().unwrap();
        assert_eq!((connect.local_addr, connect.local_port), (Some(here.ip()), here.port()));
        assert_eq!(connect.ret, 0);
        assert_eq!(i32::from(connect.l4proto), libc::IPPROTO_TCP);
        assert_eq!(i32::from(connect.sock_type), libc::SOCK_STREAM);
        assert_eq!(i32::from(connect.family), if six { libc::AF_INET6 } else { libc::AF_INET });
    }
}

/// A socket with the address that a call to connect takes.
fn connect_raw(to: SocketAddr, kind: i32) -> (OwnedFd, i64) {
    // SAFETY: the address lives across the call; the descriptor is owned from here.
    unsafe {
        let socket = OwnedFd::from_raw_fd(libc::socket(libc::AF_INET, kind, 0));
        let SocketAddr::V4(v4) = to else { panic!("IPv4 only") };
        let address = libc::sockaddr_in {
            sin_family: libc::AF_INET as u16,
            sin_port: v4.port().to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
            sin_zero: [0; 8],
        };
        let len = size_of::<libc::sockaddr_in>() as u32;
        let ret = libc::connect(socket.as_raw_fd(), (&raw const address).cast(), len);
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap();
        (socket, if ret < 0 { -i64::from(errno) } else { 0 })
    }
}

#[test]
fn refused_keeps_where_to() {
    let Some(mut live) = live(&everything(1)) else { return };
    // A port that was just free; nobody listens on it.
    let there = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (socket, ret) = connect_raw(there, libc::SOCK_STREAM);
    assert_eq!(ret, -i64::from(libc::ECONNREFUSED));
    let (_, connect, _) = live.connect(socket.as_raw_fd());
    assert_eq!(connect.ret, ret);
    assert_eq!((connect.addr, connect.port), (Some(there.ip()), there.port()));
}

#[test]
fn under_way_is_told() {
    let Some(mut live) = live(&everything(1)) else { return };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let there = listener.local_addr().unwrap();
    let (socket, ret) = connect_raw(there, libc::SOCK_STREAM | libc::SOCK_NONBLOCK);
    assert_eq!(ret, -i64::from(libc::EINPROGRESS));
    let (_, connect, _) = live.connect(socket.as_raw_fd());
    assert_eq!((connect.ret, connect.addr, connect.port), (ret, Some(there.ip()), there.port()));
}

#[test]
fn datagrams() {
    let Some(mut live) = live(&everything(1)) else { return };
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect((Ipv4Addr::LOCALHOST, 53)).unwrap();
    let (_, connect, _) = live.connect(socket.as_raw_fd());
    assert_eq!(i32::from(connect.l4proto), libc::IPPROTO_UDP);
    assert_eq!(connect.port, 53);
    assert_eq!(connect.local_port, socket.local_addr().unwrap().port());
}

#[test]
fn unix_sockets_by_path_and_by_abstract_name() {
    let Some(mut live) = live(&everything(1)) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    let stream = UnixStream::connect(&path).unwrap();
    let (_, connect, unix) = live.connect(stream.as_raw_fd());
    assert_eq!(unix, path.to_str().unwrap().as_bytes());
    assert_eq!((i32::from(connect.family), connect.addr, connect.ret), (libc::AF_UNIX, None, 0));

    let name = format!("eyas-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let other = UnixStream::connect_addr(&address).unwrap();
    // The descriptor of the first is still taken, so this is another one.
    let (_, _, unix) = live.connect(other.as_raw_fd());
    assert_eq!(unix, [b"\0", name.as_bytes()].concat());
}

#[test]
fn a_descriptor_that_is_no_socket() {
    let Some(mut live) = live(&everything(1)) else { return };
    let file = std::fs::File::open("/dev/null").unwrap();
    // SAFETY: a call that the kernel refuses; the address is null with length 0.
    assert!(unsafe { libc::connect(file.as_raw_fd(), std::ptr::null(), 0) } < 0);
    let (_, connect, _) = live.connect(file.as_raw_fd());
    assert_eq!((connect.family, connect.addr, connect.sock_type), (0, None, 0));
    assert!(connect.ret < 0);
}
