//! 32-bit system calls, made from a 64-bit process by `int 0x80`.
use crate::support::{everything, live};
use agent::probe::record::Body;
use engine::event::{EventType, Hook};
use std::{arch::asm, net::Ipv4Addr, path::Path, ptr};

/// Memory below 4 GiB, where 32-bit pointers reach.
struct Low(*mut u8);

impl Low {
    fn holding(bytes: &[u8]) -> Self {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        // SAFETY: a new mapping of a page, which is longer than what is copied there.
        unsafe {
            let page = libc::mmap(ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            assert!(page != libc::MAP_FAILED && bytes.len() < 4096);
            ptr::copy_nonoverlapping(bytes.as_ptr(), page.cast(), bytes.len());
            Self(page.cast())
        }
    }

    fn address(&self) -> u64 {
        self.0 as u64
    }
}

impl Drop for Low {
    fn drop(&mut self) {
        // SAFETY: mapped by holding().
        unsafe { libc::munmap(self.0.cast(), 4096) };
    }
}

/// A 32-bit call; None where the kernel has none.
fn call(nr: i64, arguments: [u64; 4]) -> Option<i64> {
    if !Path::new("/proc/sys/abi/vsyscall32").exists() {
        println!("skipped: this kernel has no 32-bit system calls");
        return None;
    }
    let ret: i64;
    // SAFETY: the callers' pointers live; rbx is put back, and the registers that the kernel clears are given up.
    unsafe {
        asm!(
            "xchg rbx, {first}", "int 0x80", "xchg rbx, {first}",
            first = inout(reg) arguments[0] => _,
            inout("rax") nr => ret, in("rcx") arguments[1], in("rdx") arguments[2], in("rsi") arguments[3],
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    Some(ret)
}

#[test]
fn opens_are_decoded_by_their_own_numbers() {
    let Some(mut live) = live(&everything(1)) else { return };
    let path = Low::holding(b"/etc/hostname\0");
    let Some(fd) = call(295, [libc::AT_FDCWD as u32 as u64, path.address(), libc::O_RDONLY as u64, 0]) else { return };
    assert!(fd >= 0, "{fd}");
    let (header, open) = live.open("/etc/hostname");
    assert_eq!((header.event_type, open.rest.ret), (EventType::Openat, fd));
    assert_eq!((open.rest.dirfd, open.rest.flags), (libc::AT_FDCWD, 0));
    // SAFETY: ours, from the call above.
    unsafe { libc::close(fd as i32) };

    let absent = Low::holding(b"/absent-32\0");
    assert_eq!(call(5, [absent.address(), libc::O_RDWR as u64, 0, 0]), Some(-i64::from(libc::ENOENT)));
    let (header, open) = live.open("/absent-32");
    assert_eq!((header.event_type, open.rest.flags.cast_signed()), (EventType::Open, libc::O_RDWR));
    assert!(live.probe.counters().unwrap()[Hook::Open as usize].compat >= 2);
}

#[test]
fn connects_also_by_socketcall() {
    let Some(mut live) = live(&everything(1)) else { return };
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
    for (nr, port) in [(362, 1111u16), (102, 2222)] {
        let mut address = [0u8; 16];
        address[0] = libc::AF_INET as u8;
        address[2..4].copy_from_slice(&port.to_be_bytes());
        address[4..8].copy_from_slice(&Ipv4Addr::LOCALHOST.octets());
        let address = Low::holding(&address);
        let block: Vec<u8> =
            [fd as u32, address.address() as u32, 16].iter().flat_map(|w: &u32| w.to_ne_bytes()).collect();
        let block = Low::holding(&block);
        let arguments = if nr == 102 { [3, block.address(), 0, 0] } else { [fd as u64, address.address(), 16, 0] };
        let Some(ret) = call(nr, arguments) else { return };
        assert_eq!(ret, 0);
        let (_, connect, _) = live.connect(fd);
        assert_eq!((connect.port, connect.addr), (port, Some(Ipv4Addr::LOCALHOST.into())));
    }
}

#[test]
fn a_number_that_means_another_call_is_none_of_ours() {
    let Some(mut live) = live(&everything(1)) else { return };
    // 42 is connect for 64 bits and pipe for 32.
    if call(42, [0, 0, 0, 0]).is_none() {
        return;
    }
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect((Ipv4Addr::LOCALHOST, 9)).unwrap();
    let tid = crate::support::tid();
    let first = live.find("the first connect", |r| match &r.body {
        Body::Connect(c) if r.header.tid == tid => Some(c.ret),
        _ => None,
    });
    assert_eq!(first, 0, "the pipe that failed was taken for a connect");
}
