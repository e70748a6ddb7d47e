import Proactor
import ZMTP

/// Messages that do not queue in a pipe: those for a type that receives none, and those of which the newest counts.
extension Inflow {
    /// Walks and drops messages (30/PIPELINE: PUSH receives none); commands still count.
    func ignore<B: Backend & ~Copyable>(
        _ bytes: UnsafeRawBufferPointer, _ session: Session, on loop: Loop<B>
    ) throws(ZMTPError) {
        ignored.append(contentsOf: bytes)
        var from = 0
        while true {
            let scan = try ignored.withTypedBytes { bytes throws(ZMTPError) in
                try scanner.scan(bytes, from: from, maxMessages: .max)
            }
            if let upstream = session.upstream {
                var end = scan.consumed
                if case .command(_, let frame) = scan.stop { end = frame.lowerBound }
                try ignored.withTypedBytes { bytes throws(ZMTPError) in
                    try upstream.take(UnsafeRawBufferPointer(rebasing: bytes[from..<end]))
                }
            }
            from = scan.consumed
            switch scan.stop {
            case .limit: continue
            case .command(let range, _):
                try ignored.withTypedBytes { bytes throws(ZMTPError) in
                    try session.obey(UnsafeRawBufferPointer(rebasing: bytes[range]), on: loop)
                }
            case .needMore(_, let header):
                ignored.removeFirst(from)
                // No message of such a type's peer is worth more than a small frame's memory. Commands have passed
                // their limits.
                let isMessage = header.map { !$0.flags.contains(.command) } ?? false
                let bound =
                    session.upstream == nil
                    ? session.core.options.protocolLimits.maximumCommandSize : Upstream.messageBound
                if isMessage, ignored.count > bound { throw .messageTooLarge }
                return
            }
        }
    }

    /// Walks messages and keeps the last whole one; the bytes of one that is not whole wait.
    func keepLatest<B: Backend & ~Copyable>(
        _ bytes: UnsafeRawBufferPointer, _ pipe: Pipe, _ latest: LatestMessage, _ session: Session, on loop: Loop<B>
    ) throws(ZMTPError) {
        ignored.append(contentsOf: bytes)
        var end = 0
        walk: while true {
            let scan = try ignored.withTypedBytes { bytes throws(ZMTPError) in
                try scanner.scan(bytes, from: scanned, maxMessages: .max)
            }
            scanned = scan.consumed
            if let messageEnd = scan.messageEnd { end = messageEnd }
            switch scan.stop {
            case .limit: continue
            case .command(let range, _):
                try ignored.withTypedBytes { bytes throws(ZMTPError) in
                    try session.obey(UnsafeRawBufferPointer(rebasing: bytes[range]), on: loop)
                }
            case .needMore: break walk
            }
        }
        let message = ignored.withUnsafeBytes { Message(lastOf: UnsafeRawBufferPointer(rebasing: $0[..<end])) }
        if !scanner.isInsideMessage { end = scanned }
        ignored.removeFirst(end)
        scanned -= end
        if let message, latest.put(message) { loop.wake(pipe.readerList, pipe.announce(.data)) }
    }
}
