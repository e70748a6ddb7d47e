import Testing
import ZeroMQ

extension Sockets {
    @Suite("Frames and messages") struct MessageTests {
        @Test("A frame is its bytes, inline or shared", arguments: [0, 1, 63, 64, 65, 1000, 40_000])
        func bytes(size: Int) {
            let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
            let frame = Frame(bytes)
            let filled = Frame(count: size) { room in
                for index in 0..<size { room[index] = UInt8(truncatingIfNeeded: index) }
            }
            #expect(frame.bytes == bytes && frame.count == size && frame.isEmpty == (size == 0))
            #expect(frame == filled && frame.hashValue == filled.hashValue)
            #expect(frame.withUnsafeBytes { Array($0) } == bytes)
            if size > 0 { #expect(frame != Frame([UInt8](repeating: 255, count: size))) }
            #expect(Frame(count: size) { _ in }.bytes == [UInt8](repeating: 0, count: size))
        }

        @Test("Texts are UTF-8, both ways, and malformed ones are repaired")
        func texts() {
            #expect(Frame("grüße").bytes == Array("grüße".utf8))
            #expect(Frame("grüße").string == "grüße")
            #expect(Frame([0xFF, 0x41]).string == "\u{FFFD}A")
            #expect(Frame("abc").description == "abc" && Frame([1, 255]).description == "2 bytes: 1 ff")
        }

        @Test("A message is a collection of its frames")
        func messages() {
            var message: Message = ["a", "b"]
            message.append("c")
            #expect(message.count == 3 && message.map(\.string) == ["a", "b", "c"] && message.byteCount == 3)
            message[1] = "longer"
            #expect(message == Message(frames: ["a", "longer", "c"]) && message.description == "[a | longer | c]")
            #expect(Message().count == 1 && Message("x").string == "x" && Message([1, 2]).bytes == [1, 2])
        }

        /// Memory of a test with a count of its releases.
        struct Foreign {
            let bytes: UnsafeRawBufferPointer
            let releases = Shared(0)
            init(_ size: Int) {
                let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 1)
                for index in 0..<size { memory[index] = UInt8(truncatingIfNeeded: index &* 3) }
                bytes = UnsafeRawBufferPointer(memory)
            }
            func frame() -> Frame {
                Frame(referring: bytes) { [releases] bytes in
                    releases.change { $0 += 1 }
                    bytes.deallocate()
                }
            }
        }

        @Test("Foreign memory is released exactly once, when the last copy goes", arguments: [1, 64, 65, 40_000])
        func release(size: Int) {
            let foreign = Foreign(size)
            do {
                let frame = foreign.frame()
                let copies = [frame, frame, frame]
                // Small bodies are copied into the frame, so the memory is free at once.
                #expect(foreign.releases.value == (size <= 64 ? 1 : 0))
                #expect(
                    copies.allSatisfy {
                        $0.count == size && $0.bytes.last == UInt8(truncatingIfNeeded: (size - 1) &* 3)
                    })
            }
            #expect(foreign.releases.value == 1)
        }

        @Test("Foreign memory that was sent is released exactly once, delivered or not", arguments: Setup.all)
        func releaseAfterSend(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test { $0.linger = .zero })
            let pull = try PullSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            let delivered = (0..<5).map { _ in Foreign(100_000) }
            for (index, foreign) in delivered.enumerated() {
                try push.send([Frame("\(index)"), foreign.frame(), "end"])
            }
            for index in 0..<5 {
                let message = try pull.receive()
                #expect(
                    message[0].string == "\(index)" && message[1].count == 100_000 && message[2].string == "end")
            }
            push.close()
            #expect(try pull.tryReceive() == nil)
            let isReleased = context.eventually { delivered.allSatisfy { $0.releases.value == 1 } }
            #expect(isReleased, "\(delivered.map(\.releases.value))")

            let lost = (0..<5).map { _ in Foreign(100_000) }
            do {
                let lonely = try PushSocket(context, .test { $0.linger = .zero })
                try lonely.connect(setup.wire == .inproc ? "inproc://nobody" : setup.reserve())
                for foreign in lost { try lonely.send(["x", foreign.frame()]) }
            }
            context.close()
            #expect(lost.map(\.releases.value) == [1, 1, 1, 1, 1])
        }

        @Test("Messages outlive their socket and context", arguments: Setup.all)
        func outlive(setup: Setup) throws {
            var kept: [Message] = []
            do {
                let context = try setup.context()
                let push = try PushSocket(context, .test)
                let pull = try PullSocket(context, .test)
                try push.connect(pull.bind(setup.wildcard))
                for size in [3, 200, 50_000] {
                    try push.send(Message([UInt8](repeating: UInt8(size & 255), count: size)))
                    kept.append(try pull.receive())
                }
                context.close()
            }
            for (message, size) in zip(kept, [3, 200, 50_000]) {
                #expect(message.bytes == [UInt8](repeating: UInt8(size & 255), count: size))
            }
        }
    }
}
