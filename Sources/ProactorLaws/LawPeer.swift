import CLiburing
import Glibc
import Proactor

/// The other end of a connection, driven by plain system calls that give up after the watchdog's patience.
struct LawPeer {
    let number: Int32

    func limitBlocking() {
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
    }

    /// Interrupted calls go on: an engine's completions may interrupt its thread at any time.
    func connect(to address: SocketAddress) throws {
        var result = address.withSockaddr { answer(Int(Glibc.connect(number, $0, $1))) }
        while result == -Int(EINTR) || result == -Int(EALREADY) {
            var question = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
            _ = Glibc.poll(&question, 1, 1000)
            result = address.withSockaddr { answer(Int(Glibc.connect(number, $0, $1))) }
            if result == -Int(EISCONN) { result = 0 }
        }
        try require(result == 0, "the peer cannot connect: errno \(-result)")
    }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let done = bytes.withUnsafeBytes { bytes in
                answer(Glibc.send(number, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL)))
            }
            if done == -Int(EINTR) { continue }
            try require(done > 0, "the peer sent \(sent) of \(bytes.count) bytes, errno \(-done)")
            sent += done
        }
    }

    /// Exactly so many bytes, or fewer at the end of the stream.
    func receive(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let some = try receiveSome(count - bytes.count, flags: 0)
            guard let some, !some.isEmpty else { break }
            bytes += some
        }
        return bytes
    }

    /// What is there now; nil if nothing is, empty at the end of the stream.
    func receiveNow(_ limit: Int) throws -> [UInt8]? { try receiveSome(limit, flags: Int32(MSG_DONTWAIT)) }

    private func receiveSome(_ limit: Int, flags: Int32) throws -> [UInt8]? {
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            let done = receiveOnce(buffer.baseAddress, limit, flags)
            failure = done < 0 ? Int32(-done) : 0
            count = max(done, 0)
        }
        if failure == EAGAIN, flags != 0 { return nil }
        try require(failure == 0, "the peer's receive failed with errno \(failure)")
        return bytes
    }

    private func receiveOnce(_ memory: UnsafeMutableRawPointer?, _ count: Int, _ flags: Int32) -> Int {
        var done: Int
        repeat { done = answer(Glibc.recv(number, memory, count, flags)) } while done == -Int(EINTR)
        return done
    }

    /// errno as a value.
    private func answer(_ result: Int) -> Int { result < 0 ? -Int(errno) : result }

    /// What a receive of one byte answers: 0 at the end of the stream, or a negated errno.
    func endOfStream() -> Int32 {
        var byte: UInt8 = 0
        return Int32(receiveOnce(&byte, 1, 0))
    }

    /// Whether the end of the stream comes.
    func seesEnd() throws -> Bool { try receive(1).isEmpty }

    /// Makes the next close cut the connection (RST on tcp).
    func resetsOnClose() throws { try Descriptor.setLinger(number, seconds: 0) }
}

/// How a connection is made.
enum LawTransport: CaseIterable {
    case tcp, unix

    /// Port 0, or a name in the abstract namespace that the kernel picks by autobind (unix(7)): no file is left.
    func anyAddress() throws -> SocketAddress {
        switch self {
        case .tcp: SocketAddress(numeric: "127.0.0.1", port: 0)!
        case .unix: SocketAddress(unix: "@proactor-laws-\(getpid())-\(UInt64.random(in: 0 ... .max))")!
        }
    }

    /// Two connected numbers: ours without limits, the peer's with.
    func connectedNumbers() throws -> (ours: Int32, theirs: Int32) {
        switch self {
        case .unix:
            let (ours, theirs) = try Descriptor.pair().release()
            LawPeer(number: theirs).limitBlocking()
            try limitBuffers(ours, theirs)
            return (ours, theirs)
        case .tcp:
            let listener = try Descriptor.listening(on: try anyAddress())
            let address = Descriptor.localAddress(of: listener.number)!
            let peer = try Descriptor.stream(for: address)
            LawPeer(number: peer.number).limitBlocking()
            try limitBuffers(listener.number, peer.number)
            try LawPeer(number: peer.number).connect(to: address)
            let ours = Glibc.accept(listener.number, nil, nil)
            try require(ours >= 0, "accept: errno \(errno)")
            _ = fcntl(ours, F_SETFD, FD_CLOEXEC)
            try Descriptor.setOption(peer.number, .noDelay, 1)
            return (ours, peer.release())
        }
    }

    /// Kernel buffers of a known size (TCP sizes them before the connection is made), so that a few MiB never fit.
    private func limitBuffers(_ sender: Int32, _ receiver: Int32) throws {
        try Descriptor.setOption(sender, .sendBuffer, 256 << 10)
        try Descriptor.setOption(receiver, .receiveBuffer, 256 << 10)
    }
}
