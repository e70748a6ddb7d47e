/// A queue of plain values in one block that grows only at need: no allocation per element, ever.
struct GrowingRing<Element: BitwiseCopyable>: ~Copyable {
    private var storage: UnsafeMutablePointer<Element>
    /// A power of two.
    private var capacity: Int
    private var head = 0
    /// Elements that wait.
    private(set) var count = 0

    /// - Parameter capacity: a power of two; doubles whenever it is exceeded.
    init(capacity: Int) {
        precondition(capacity > 0 && capacity & (capacity - 1) == 0)
        self.capacity = capacity
        storage = .allocate(capacity: capacity)
    }

    deinit { storage.deallocate() }

    var isEmpty: Bool { count == 0 }

    mutating func append(_ element: Element) {
        if count == capacity { grow() }
        storage[(head + count) & (capacity - 1)] = element
        count += 1
    }

    mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = storage[head]
        head = (head + 1) & (capacity - 1)
        count -= 1
        return element
    }

    /// The element at a distance below `count` from the front.
    subscript(position: Int) -> Element {
        precondition(position >= 0 && position < count)
        return storage[(head + position) & (capacity - 1)]
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
        for position in 0..<count { larger[position] = self[position] }
        storage.deallocate()
        storage = larger
        capacity *= 2
        head = 0
    }
}
