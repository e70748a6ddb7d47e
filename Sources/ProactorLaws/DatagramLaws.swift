import CLiburing
import Glibc
import Proactor

/// Datagrams: whole, with their address, in both families.
extension Laws {
    static func datagrams<Engine: Backend & SendableMetatype & ~Copyable>() -> [Law<Engine>] {
        [
            Law(1, "A datagram arrives whole and tells its sender") { bench in
                for transport in LawTransport.allCases {
                    let (left, right) = (try bench.datagramSocket(transport), try bench.datagramSocket(transport))
                    let memory = bench.memory(2000)
                    let receive = bench.engine.receiveDatagram(right.handle, into: memory)
                    try bench.expectNothing(of: receive)
                    let send = bench.engine.sendDatagram(left.handle, bench.pattern(1200), to: right.address)
                    try bench.expect(send, 1200)
                    try bench.expect(receive, 1200)
                    try require(memory.prefix(1200).elementsEqual(LawPattern.bytes(0..<1200)), "bytes")
                    try requireEqual(bench.engine.source(of: right.handle), left.address, "the source")
                }
            },
            Law(1, "Datagrams that wait are received one by one, also into memory that is too short") { bench in
                let (left, right) = (try bench.datagramSocket(.tcp), try bench.datagramSocket(.tcp))
                for count in [100, 50, 0, 10] {
                    let send = bench.engine.sendDatagram(left.handle, bench.pattern(count), to: right.address)
                    try bench.expect(send, Int32(count))
                }
                let memory = bench.memory(60)
                for count in [60, 50, 0, 10] {
                    try bench.expect(bench.engine.receiveDatagram(right.handle, into: memory), Int32(count))
                }
            },
            Law(4, "Sending datagrams to a full Unix queue waits for room") { bench in
                let (left, right) = (try bench.datagramSocket(.unix), try bench.datagramSocket(.unix))
                let memory = bench.memory(100)
                var sent = 0
                var send = bench.engine.sendDatagram(left.handle, bench.pattern(50), to: right.address)
                while sent < 2000 {
                    try bench.turn(for: .microseconds(100))
                    guard bench.backlog.contains(where: { $0.token == send }) else { break }
                    try bench.expect(send, 50)
                    sent += 1
                    send = bench.engine.sendDatagram(left.handle, bench.pattern(50), to: right.address)
                }
                try require(sent < 2000, "the queue is never full")
                for index in 0...sent {
                    let result = try bench.next(bench.engine.receiveDatagram(right.handle, into: memory)).result
                    try requireEqual(result, 50, "datagram \(index) of \(sent + 1)")
                }
                try bench.expect(send, 50)
            },
        ]
    }
}

extension LawBench where Engine: ~Copyable {
    fileprivate mutating func datagramSocket(
        _ transport: LawTransport
    ) throws -> (handle: Handle, address: SocketAddress) {
        let descriptor = try Descriptor.datagram(boundTo: transport.anyAddress())
        guard let address = Descriptor.localAddress(of: descriptor.number) else {
            throw LawVerdict(message: "the socket has no address")
        }
        return (try engine.adopt(descriptor), address)
    }
}
