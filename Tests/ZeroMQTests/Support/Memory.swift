import Glibc

/// Resident bytes of this process, without what the allocator keeps for later. Under a sanitizer, whose allocator
/// keeps what was freed in order to catch its use: bytes that are allocated.
func residentBytes() -> Int {
    if let allocated = dlsym(nil, "__sanitizer_get_current_allocated_bytes") {
        return unsafeBitCast(allocated, to: (@convention(c) () -> Int).self)()
    }
    // glibc's own call, which Swift's view of it leaves out.
    if let trim = dlsym(nil, "malloc_trim") { _ = unsafeBitCast(trim, to: (@convention(c) (Int) -> Int32).self)(0) }
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    guard fgets(&line, 256, file) != nil else { return 0 }
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
}
