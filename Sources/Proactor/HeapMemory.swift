import CLiburing

/// The C library's heap, as a whole.
package enum HeapMemory {
    /// Gives free pages back to the kernel (malloc_trim(3)). Takes milliseconds on a large heap: for rare moments.
    package static func trim() { proactor_trim_heap() }
}
