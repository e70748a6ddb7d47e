import Glibc
import Proactor
import Testing

let loopback = SocketAddress(numeric: "127.0.0.1", port: 0)!

/// Runs a body with a loop, and shuts the loop down whatever happens.
func withLoop(_ backend: BackendChoice, _ body: (ProactorLoop) async throws -> Void) async throws {
    let loop = try ProactorLoop(backend)
    do { try await body(loop) } catch {
        await loop.shutdown()
        throw error
    }
    await loop.shutdown()
}

/// A connected pair on a loop.
func pair(_ loop: ProactorLoop) async throws -> (AsyncConnection, AsyncConnection) {
    let (left, right) = try Descriptor.pair().release()
    let first = try await loop.adopt(Descriptor(owning: left))
    return (first, try await loop.adopt(Descriptor(owning: right)))
}

/// Serves one connection: sends back what comes, until its end.
func echo(_ connection: AsyncConnection) async throws {
    for try await chunk in connection.chunks { try await connection.send(chunk) }
    await connection.close()
}

/// Sends a message and receives as many bytes.
func roundTrip(_ connection: AsyncConnection, _ message: [UInt8]) async throws -> [UInt8] {
    try await connection.send(message, until: .after(.seconds(20)))
    var buffer = OwnedBuffer(capacity: message.count)
    _ = try await connection.receive(into: &buffer, untilFull: true, until: .after(.seconds(20)))
    return buffer.array()
}

/// The error that a body throws.
func failure(_ body: () async throws -> Void) async -> LoopError.Code? {
    do { try await body() } catch { return (error as? LoopError)?.code }
    return nil
}
