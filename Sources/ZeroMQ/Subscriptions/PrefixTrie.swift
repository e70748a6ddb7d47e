/// Prefixes and the numbers that stand at them: who is subscribed to what.
///
/// A radix tree: a node holds a piece of a prefix of any length, so a prefix of a megabyte is one node and a thousand
/// prefixes with different beginnings are a table look-up. Nothing in here recurses, whatever a peer subscribes to.
///
/// Costs, with t octets of the topic and p of a prefix: matching O(t) at most, and no allocation; changing O(p), plus
/// the numbers that stand at the same prefix.
struct PrefixTrie: ~Copyable {
    private struct Node {
        /// The octets between the parent and here.
        var label: UnsafeMutableBufferPointer<UInt8>
        /// Numbers at the prefix that ends here.
        var values: [Int32] = []
        /// First octets of the children, and the children, side by side. Beyond `narrow` children `table` finds them.
        var firsts: [UInt8] = []
        var children: [UnsafeMutablePointer<Node>] = []
        /// Index of a child plus one, by its first octet; empty in narrow nodes.
        var table: [UInt16] = []

        init(label: some Collection<UInt8>) {
            self.label = .allocate(capacity: label.count)
            _ = self.label.initialize(from: label)
        }
    }
    private typealias Link = UnsafeMutablePointer<Node>

    /// A node with more children than this has a table.
    private static let narrow = 8

    private let root: Link
    /// Numbers that stand anywhere; the same number at two prefixes counts twice.
    private(set) var count = 0

    init() { root = Self.make([UInt8]()) }

    deinit {
        var rest = [root]
        while let node = rest.popLast() {
            rest.append(contentsOf: node.pointee.children)
            Self.discard(node)
        }
    }

    var isEmpty: Bool { count == 0 }

    // MARK: Matching

    /// Calls with every number at a prefix of the topic, shortest prefix first; a number may come more than once.
    @inline(__always)
    func match(_ topic: UnsafeRawBufferPointer, _ body: (Int32) -> Void) {
        var node = root
        var at = 0
        while true {
            for value in node.pointee.values { body(value) }
            guard at < topic.count, let child = Self.child(of: node, topic[at]),
                Self.agrees(child, topic, at)
            else { return }
            at += child.pointee.label.count
            node = child
        }
    }

    /// Whether any prefix of the topic is here.
    func matches(_ topic: UnsafeRawBufferPointer) -> Bool {
        var node = root
        var at = 0
        while node.pointee.values.isEmpty {
            guard at < topic.count, let child = Self.child(of: node, topic[at]),
                Self.agrees(child, topic, at)
            else { return false }
            at += child.pointee.label.count
            node = child
        }
        return true
    }

    // MARK: Changing

    /// Puts a number at a prefix. The same number twice at one prefix is the caller's mistake.
    mutating func insert(_ prefix: UnsafeRawBufferPointer, _ value: Int32) {
        count += 1
        var node = root
        var at = 0
        while at < prefix.count {
            guard let child = Self.child(of: node, prefix[at]) else {
                let leaf = Self.make(prefix[at...])
                Self.adopt(leaf, by: node)
                node = leaf
                break
            }
            let common = Self.common(child, prefix, at)
            node = common < child.pointee.label.count ? Self.split(child, under: node, after: common) : child
            at += common
        }
        node.pointee.values.append(value)
    }

    /// Takes a number away from a prefix.
    /// - Returns: false if it was not there.
    @discardableResult
    mutating func remove(_ prefix: UnsafeRawBufferPointer, _ value: Int32) -> Bool {
        var parent: Link?
        var grandparent: Link?
        var node = root
        var at = 0
        while at < prefix.count {
            guard let child = Self.child(of: node, prefix[at]), Self.agrees(child, prefix, at) else { return false }
            at += child.pointee.label.count
            (grandparent, parent, node) = (parent, node, child)
        }
        guard let index = node.pointee.values.firstIndex(of: value) else { return false }
        count -= 1
        node.pointee.values.swapAt(index, node.pointee.values.count - 1)
        node.pointee.values.removeLast()
        // A node without numbers is there only to part ways.
        guard let parent, node.pointee.values.isEmpty else { return true }
        if node.pointee.children.isEmpty {
            Self.forget(node, by: parent)
            if let grandparent { Self.joinIfPointless(parent, under: grandparent) }
        } else {
            Self.joinIfPointless(node, under: parent)
        }
        return true
    }

    // MARK: Nodes

    private static func make(_ label: some Collection<UInt8>) -> Link {
        let node = Link.allocate(capacity: 1)
        node.initialize(to: Node(label: label))
        return node
    }

    private static func discard(_ node: Link) {
        node.pointee.label.deallocate()
        node.deinitialize(count: 1)
        node.deallocate()
    }

    @inline(__always)
    private static func child(of node: Link, _ first: UInt8) -> Link? {
        if !node.pointee.table.isEmpty {
            let index = Int(node.pointee.table[Int(first)])
            return index == 0 ? nil : node.pointee.children[index - 1]
        }
        for index in node.pointee.firsts.indices where node.pointee.firsts[index] == first {
            return node.pointee.children[index]
        }
        return nil
    }

    /// Whether the node's whole label follows in the text.
    @inline(__always)
    private static func agrees(_ node: Link, _ text: UnsafeRawBufferPointer, _ at: Int) -> Bool {
        let label = node.pointee.label
        guard label.count <= text.count - at else { return false }
        for index in 0..<label.count where label[index] != text[at + index] { return false }
        return true
    }

    /// How far label and text agree.
    private static func common(_ node: Link, _ text: UnsafeRawBufferPointer, _ at: Int) -> Int {
        let label = node.pointee.label
        let limit = min(label.count, text.count - at)
        for index in 0..<limit where label[index] != text[at + index] { return index }
        return limit
    }

    private static func adopt(_ child: Link, by node: Link) {
        let first = child.pointee.label[0]
        node.pointee.firsts.append(first)
        node.pointee.children.append(child)
        if !node.pointee.table.isEmpty {
            node.pointee.table[Int(first)] = UInt16(node.pointee.children.count)
        } else if node.pointee.children.count > narrow {
            var table = [UInt16](repeating: 0, count: 256)
            for (index, first) in node.pointee.firsts.enumerated() { table[Int(first)] = UInt16(index + 1) }
            node.pointee.table = table
        }
    }

    private static func forget(_ child: Link, by node: Link) {
        let first = child.pointee.label[0]
        let index = node.pointee.firsts.firstIndex(of: first)!
        let last = node.pointee.children.count - 1
        node.pointee.firsts.swapAt(index, last)
        node.pointee.children.swapAt(index, last)
        node.pointee.firsts.removeLast()
        node.pointee.children.removeLast()
        if !node.pointee.table.isEmpty {
            node.pointee.table[Int(first)] = 0
            if index < last { node.pointee.table[Int(node.pointee.firsts[index])] = UInt16(index + 1) }
            if last <= narrow / 2 { node.pointee.table = [] }
        }
        discard(child)
    }

    private static func replace(_ child: Link, with other: Link, by node: Link) {
        let index = node.pointee.firsts.firstIndex(of: child.pointee.label[0])!
        node.pointee.children[index] = other
    }

    /// Puts a node in the middle of a child's label.
    private static func split(_ child: Link, under node: Link, after count: Int) -> Link {
        let label = child.pointee.label
        let middle = make(label[..<count])
        replace(child, with: middle, by: node)
        child.pointee.label = .allocate(capacity: label.count - count)
        _ = child.pointee.label.initialize(from: label[count...])
        label.deallocate()
        adopt(child, by: middle)
        return middle
    }

    /// A node with neither numbers nor a fork becomes part of its only child.
    private static func joinIfPointless(_ node: Link, under parent: Link) {
        guard node.pointee.values.isEmpty, node.pointee.children.count == 1 else { return }
        let child = node.pointee.children[0]
        let (head, tail) = (node.pointee.label, child.pointee.label)
        let label = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: head.count + tail.count)
        _ = label.initialize(from: Array(head) + Array(tail))
        child.pointee.label = label
        replace(node, with: child, by: parent)
        tail.deallocate()
        discard(node)
    }
}
