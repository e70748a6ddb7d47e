import Testing

@testable import Proactor

@Suite("Slot tables")
struct SlotTableTests {
    struct Record: SlotRecord {
        var owner: UInt32 = 0
        var value = 0
    }

    @Test("A handle is living from its insert to its removal, also when the slot has a new owner")
    func staleness() {
        var table = SlotTable<Record>()
        let old = table.insert()!
        #expect(table.isLiving(old) == true)
        table.remove(old.slot)
        #expect(table.isLiving(old) == false)
        let new = table.insert()!
        #expect(new.slot == old.slot, "the slot that was freed last is taken first")
        #expect(table.isLiving(old) == false)
        #expect(table.isLiving(new) == true)
    }

    @Test("Records never move while the table grows")
    func addresses() {
        var table = SlotTable<Record>()
        let first = table.insert()!
        let address = table.record(first)
        address.pointee.value = 42
        for _ in 0..<5000 { _ = table.insert() }
        #expect(table.record(first) == address)
        #expect(table.record(first).pointee.value == 42)
        #expect(table.count == 5001)
    }
}
