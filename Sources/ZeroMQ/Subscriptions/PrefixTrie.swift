/// Prefixes and the numbers that stand at them: who is subscribed to what.
///
/// A radix tree: a node holds a piece of a prefix of any length, so a prefix of a megabyte is one node and a thousand
/// prefixes with different beginnings are a table look-up. Nothing in here recurses, whatever a peer subscribes to.
///
/// Costs, with t octets of the topic and p of a prefix: matching O(t) at most, and no allocation; changing O(p), plus
/// the numbers that stand at the same prefix.
struct PrefixTrie: ~Copyable {
    private struct Node {
        /// What the label lies in. It may be up to twice as large, so that parting a long label and joining it again
        /// costs what the shorter part has: a peer can have its long prefix parted for each octet it sends.
        var storage: UnsafeMutableBufferPointer<UInt8>
        /// The octets between the parent and here.
        var label: UnsafeMutableBufferPointer<UInt8>
        /// Numbers at the prefix that ends here.
        var values: [Int32] = []
        /// First octets of the children, and the children, side by side. Beyond `narrow` children `table` finds them.
        var firsts: [UInt8] = []
        var children: [UnsafeMutablePointer<Node>] = []
        /// Index of a child plus one, by its first octet; empty in narrow nodes.
        var table: [UInt16] = []

        init(storage: UnsafeMutableBufferPointer<UInt8>, label: UnsafeMutableBufferPointer<UInt8>) {
            self.storage = storage
            self.label = label
        }

        /// Octets of the storage before the label, and behind it.
        var front: Int { label.baseAddress! - storage.baseAddress! }
        var back: Int { storage.count - front - label.count }

        /// Gives back storage of which the label needs less than half.
        mutating func compact() {
            guard storage.count > 64, label.count < storage.count / 2 else { return }
            let smaller = PrefixTrie.copy(UnsafeRawBufferPointer(label))
            storage.deallocate()
            (storage, label) = (smaller, smaller)
        }
    }
    private typealias Link = UnsafeMutablePointer<Node>

    /// A node with more children than this has a table.
    private static let narrow = 8

    private let root: Link
    /// Numbers that stand anywhere; the same number at two prefixes counts twice.
    private(set) var count = 0

    init() { root = Self.make(UnsafeRawBufferPointer(start: nil, count: 0)) }

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
                let leaf = Self.make(UnsafeRawBufferPointer(rebasing: prefix[at...]))
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

    private static func make(_ label: UnsafeRawBufferPointer) -> Link {
        let storage = copy(label)
        return make(Node(storage: storage, label: storage))
    }

    private static func make(_ node: Node) -> Link {
        let link = Link.allocate(capacity: 1)
        link.initialize(to: node)
        return link
    }

    private static func copy(_ label: UnsafeRawBufferPointer) -> UnsafeMutableBufferPointer<UInt8> {
        let storage = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: label.count)
        UnsafeMutableRawBufferPointer(storage).copyMemory(from: label)
        return storage
    }

    private static func discard(_ node: Link) {
        node.pointee.storage.deallocate()
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

    /// Puts a node in the middle of a child's label. The longer part keeps the storage.
    private static func split(_ child: Link, under node: Link, after count: Int) -> Link {
        let label = child.pointee.label
        let head = UnsafeMutableBufferPointer(rebasing: label[..<count])
        let tail = UnsafeMutableBufferPointer(rebasing: label[count...])
        let middle: Link
        if head.count <= tail.count {
            middle = make(UnsafeRawBufferPointer(head))
            replace(child, with: middle, by: node)
            child.pointee.label = tail
            child.pointee.compact()
        } else {
            middle = make(Node(storage: child.pointee.storage, label: head))
            replace(child, with: middle, by: node)
            child.pointee.storage = copy(UnsafeRawBufferPointer(tail))
            child.pointee.label = child.pointee.storage
            middle.pointee.compact()
        }
        adopt(child, by: middle)
        return middle
    }

    /// A node with neither numbers nor a fork becomes part of its only child.
    private static func joinIfPointless(_ node: Link, under parent: Link) {
        guard node.pointee.values.isEmpty, node.pointee.children.count == 1 else { return }
        let child = node.pointee.children[0]
        let (head, tail) = (node.pointee.label, child.pointee.label)
        let count = head.count + tail.count
        if child.pointee.front >= head.count {
            let start = tail.baseAddress! - head.count
            start.update(from: head.baseAddress!, count: head.count)
            child.pointee.label = UnsafeMutableBufferPointer(start: start, count: count)
        } else if node.pointee.back >= tail.count {
            (head.baseAddress! + head.count).update(from: tail.baseAddress!, count: tail.count)
            swap(&node.pointee.storage, &child.pointee.storage)
            child.pointee.label = UnsafeMutableBufferPointer(start: head.baseAddress!, count: count)
        } else {
            let storage = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: count)
            let start = storage.baseAddress!
            start.initialize(from: head.baseAddress!, count: head.count)
            (start + head.count).initialize(from: tail.baseAddress!, count: tail.count)
            child.pointee.storage.deallocate()
            (child.pointee.storage, child.pointee.label) = (storage, storage)
        }
        replace(node, with: child, by: parent)
        discard(node)
    }
}
