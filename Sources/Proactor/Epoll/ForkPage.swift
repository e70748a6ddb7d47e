import CLiburing
import Glibc

/// Tells a forked child from its parent without a system call: a page that the kernel hands to children wiped
/// (MADV_WIPEONFORK, 4.14). On older kernels a child goes undetected.
struct ForkPage: ~Copyable {
    private static var size: Int { 4096 }
    private let page: UnsafeMutablePointer<UInt64>

    init() throws(ProactorError) {
        let address = mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let address, address != MAP_FAILED else { throw .last("mmap") }
        _ = madvise(address, Self.size, MADV_WIPEONFORK)
        page = address.bindMemory(to: UInt64.self, capacity: 1)
        page.pointee = 1
    }

    deinit { munmap(page, Self.size) }

    /// Whether this process is a child of the one that made the page.
    var isChild: Bool { page.pointee == 0 }
}
