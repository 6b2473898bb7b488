//! Which system calls a step may not make, by architecture.
//!
//! Docker's default profile is a list of what is allowed. Seen from a given architecture's table of numbers it is shorter to
//! write what remains: the calls that exist and are refused, and the numbers that mean nothing yet. Everything above
//! `LAST_KNOWN` is unknown. Computed from the profile of moby/profiles (seccomp/default.json, June 2026) for Docker's default
//! capabilities.

/// The highest number the profile knows; the numbers from 424 on are the same on every architecture.
pub(super) const LAST_KNOWN: u32 = 466;

/// The refused calls among the numbers that all architectures share; `clone3` is answered apart.
pub(super) const SHARED: &str = "io_uring_setup=425 io_uring_enter=426 io_uring_register=427 open_tree=428 move_mount=429 fsopen=430 \
    fsconfig=431 fsmount=432 fspick=433 pidfd_getfd=438 process_madvise=440 mount_setattr=442 quotactl_fd=443 \
    set_mempolicy_home_node=450 lsm_get_self_attr=459 lsm_set_self_attr=460 lsm_list_modules=461";

/// What one calling convention calls its system calls.
#[derive(Debug)]
pub(super) struct Abi {
    /// The kernel's `AUDIT_ARCH_*`.
    pub(super) audit_arch: u32,
    /// Refused calls as `name=number`.
    pub(super) refused: &'static str,
    /// Numbers nobody has, as `first-last`.
    pub(super) unassigned: &'static str,
    /// `socket`, whose families are looked at.
    pub(super) socket: u32,
    /// `clone`, whose flags are looked at.
    pub(super) clone: u32,
    /// `personality`, whose value is looked at.
    pub(super) personality: u32,
}

/// x86-64; x32 uses it too, with a bit set in the number.
pub(super) const X86_64: Abi = Abi {
    audit_arch: 0xc000_003e,
    refused: "syslog=103 uselib=134 ustat=136 sysfs=139 vhangup=153 pivot_root=155 _sysctl=156 acct=163 settimeofday=164 \
    mount=165 umount2=166 swapon=167 swapoff=168 reboot=169 sethostname=170 setdomainname=171 iopl=172 \
    ioperm=173 create_module=174 init_module=175 delete_module=176 get_kernel_syms=177 query_module=178 \
    quotactl=179 nfsservctl=180 getpmsg=181 putpmsg=182 afs_syscall=183 tuxcall=184 security=185 \
    lookup_dcookie=212 clock_settime=227 vserver=236 mbind=237 set_mempolicy=238 get_mempolicy=239 \
    kexec_load=246 add_key=248 request_key=249 keyctl=250 migrate_pages=256 unshare=272 move_pages=279 \
    perf_event_open=298 fanotify_init=300 open_by_handle_at=304 setns=308 kcmp=312 finit_module=313 \
    kexec_file_load=320 bpf=321 userfaultfd=323",
    unassigned: "336-423",
    socket: 41,
    clone: 56,
    personality: 135,
};

/// 32-bit x86.
pub(super) const X86: Abi = Abi {
    audit_arch: 0x4000_0003,
    refused: "break=17 oldstat=18 mount=21 umount=22 stime=25 oldfstat=28 stty=31 gtty=32 nice=34 ftime=35 prof=44 \
    signal=48 acct=51 umount2=52 lock=53 mpx=56 ulimit=58 oldolduname=59 ustat=62 sigaction=67 sgetmask=68 \
    ssetmask=69 sigsuspend=72 sigpending=73 sethostname=74 settimeofday=79 oldlstat=84 uselib=86 swapon=87 \
    reboot=88 readdir=89 profil=98 ioperm=101 syslog=103 olduname=109 iopl=110 vhangup=111 idle=112 vm86old=113 \
    swapoff=115 setdomainname=121 create_module=127 init_module=128 delete_module=129 get_kernel_syms=130 \
    quotactl=131 bdflush=134 sysfs=135 afs_syscall=137 _sysctl=149 vm86=166 query_module=167 nfsservctl=169 \
    getpmsg=188 putpmsg=189 pivot_root=217 lookup_dcookie=253 clock_settime=264 vserver=273 mbind=274 \
    get_mempolicy=275 set_mempolicy=276 kexec_load=283 add_key=286 request_key=287 keyctl=288 migrate_pages=294 \
    unshare=310 move_pages=317 perf_event_open=336 fanotify_init=338 open_by_handle_at=342 setns=346 kcmp=349 \
    finit_module=350 bpf=357 userfaultfd=374 clock_settime64=404",
    unassigned: "222-223 251-251 285-285 387-392 415-415",
    socket: 359,
    clone: 120,
    personality: 136,
};

/// 64-bit ARM.
pub(super) const AARCH64: Abi = Abi {
    audit_arch: 0xc000_00b7,
    refused: "lookup_dcookie=18 umount2=39 mount=40 pivot_root=41 nfsservctl=42 vhangup=58 quotactl=60 acct=89 unshare=97 \
    kexec_load=104 init_module=105 delete_module=106 clock_settime=112 syslog=116 reboot=142 sethostname=161 \
    setdomainname=162 settimeofday=170 add_key=217 request_key=218 keyctl=219 swapon=224 swapoff=225 mbind=235 \
    get_mempolicy=236 set_mempolicy=237 migrate_pages=238 move_pages=239 perf_event_open=241 fanotify_init=262 \
    open_by_handle_at=265 setns=268 kcmp=272 finit_module=273 bpf=280 userfaultfd=282 kexec_file_load=294",
    unassigned: "244-259 295-423",
    socket: 198,
    clone: 220,
    personality: 92,
};

/// 32-bit ARM, whose private calls lie far above and are all harmless.
pub(super) const ARM: Abi = Abi {
    audit_arch: 0x4000_0028,
    refused: "mount=21 nice=34 acct=51 umount2=52 ustat=62 sigaction=67 sigsuspend=72 sigpending=73 sethostname=74 \
    settimeofday=79 uselib=86 swapon=87 reboot=88 syslog=103 vhangup=111 swapoff=115 setdomainname=121 \
    init_module=128 delete_module=129 quotactl=131 bdflush=134 sysfs=135 _sysctl=149 nfsservctl=169 \
    pivot_root=218 lookup_dcookie=249 clock_settime=262 pciconfig_iobase=271 pciconfig_read=272 \
    pciconfig_write=273 add_key=309 request_key=310 keyctl=311 vserver=313 mbind=319 get_mempolicy=320 \
    set_mempolicy=321 unshare=337 move_pages=344 kexec_load=347 perf_event_open=364 fanotify_init=367 \
    open_by_handle_at=371 setns=375 kcmp=378 finit_module=379 bpf=386 userfaultfd=388 migrate_pages=400 \
    kexec_file_load=401 clock_settime64=404",
    unassigned: "7-7 13-13 17-18 22-22 25-25 27-28 30-32 35-35 44-44 48-48 53-53 56-56 58-59 68-69 76-76 82-82 84-84 89-90 \
    98-98 101-102 109-110 112-113 117-117 123-123 127-127 130-130 137-137 166-167 188-189 222-223 254-255 \
    402-402 415-415",
    socket: 281,
    clone: 120,
    personality: 136,
};
