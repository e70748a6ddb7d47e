/// A record that knows how often its slot has changed hands.
protocol SlotRecord {
    /// A record nobody owns yet.
    init()
    /// Counts the owners of the slot; odd while it is owned.
    var owner: UInt32 { get set }
}

/// Records by slot number, at addresses that never move: the kernel may hold pointers into them.
///
/// Grows by pages, never shrinks; all verbs are O(1). Pointers stay valid as long as the table lives.
struct SlotTable<Record: SlotRecord>: ~Copyable {
    private static var pageBits: UInt32 { 8 }
    private var pages: [UnsafeMutablePointer<Record>] = []
    private var free: [UInt32] = []
    /// Slots that are owned now.
    private(set) var count = 0

    deinit {
        for page in pages {
            page.deinitialize(count: 1 << Int(Self.pageBits))
            page.deallocate()
        }
    }

    /// Slots that exist, owned or not: 0 ..< capacity.
    var capacity: UInt32 { UInt32(pages.count) << Self.pageBits }

    /// Takes a free slot.
    /// - Returns: nil when all 2^24 are owned.
    mutating func insert() -> Handle? {
        if free.isEmpty {
            guard capacity < 1 << 24 else { return nil }
            let size = 1 << Int(Self.pageBits)
            let page = UnsafeMutablePointer<Record>.allocate(capacity: size)
            page.initialize(repeating: Record(), count: size)
            let first = capacity
            pages.append(page)
            for slot in (first..<first + UInt32(size)).reversed() { free.append(slot) }
        }
        let slot = free.removeLast()
        let record = self[slot]
        record.pointee.owner &+= 1
        count += 1
        return Handle(slot: slot, generation: record.pointee.owner)
    }

    /// Gives a slot back. Its generation moves on, so that old handles are stale.
    mutating func remove(_ slot: UInt32) {
        let record = self[slot]
        precondition(record.pointee.owner & 1 == 1, "slot \(slot) is not owned")
        record.pointee.owner &+= 1
        count -= 1
        free.append(slot)
    }

    /// The record of a slot that exists.
    subscript(slot: UInt32) -> UnsafeMutablePointer<Record> {
        pages[Int(slot >> Self.pageBits)] + Int(slot & ((1 << Self.pageBits) - 1))
    }

    /// The record of a living handle; traps on a stale one, which is the program's mistake.
    func record(_ handle: Handle) -> UnsafeMutablePointer<Record> {
        precondition(handle.slot < capacity, "this handle belongs to another engine")
        let record = self[handle.slot]
        precondition(record.pointee.owner == handle.generation, "the handle is stale: it was closed")
        return record
    }

    /// Whether a handle still names its slot.
    func isLiving(_ handle: Handle) -> Bool {
        handle.slot < capacity && self[handle.slot].pointee.owner == handle.generation
    }
}
