import Glibc

/// SIGINT and SIGTERM as something that a poller can wait for: a pipe that is readable once one has come.
///
/// Made before any thread is: the signals are blocked from then on, and one thread waits for them.
struct Interruption {
    /// Readable once a signal has come; the byte is its number.
    let descriptor: Int32

    init() throws(Failure) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw .last("cannot make a pipe") }
        descriptor = ends[0]
        let writing = ends[1]
        // A reader that goes away is an error of the write, and no signal.
        signal(SIGPIPE, SIG_IGN)
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGINT)
        sigaddset(&signals, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, nil,
            { argument in
                let writing = Int32(Int(bitPattern: argument))
                var signals = sigset_t()
                sigemptyset(&signals)
                sigaddset(&signals, SIGINT)
                sigaddset(&signals, SIGTERM)
                var number: Int32 = 0
                guard sigwait(&signals, &number) == 0 else { return nil }
                var byte = UInt8(number)
                _ = write(writing, &byte, 1)
                // A second one ends the process, whatever it is waiting for.
                pthread_sigmask(SIG_UNBLOCK, &signals, nil)
                pause()
                return nil
            }, UnsafeMutableRawPointer(bitPattern: Int(writing)))
        guard failure == 0 else { throw Failure("cannot start a thread: \(String(cString: strerror(failure)))") }
    }

    /// The number of the signal that has come.
    func take() -> Int32 {
        var byte: UInt8 = 0
        _ = read(descriptor, &byte, 1)
        return Int32(byte)
    }
}
