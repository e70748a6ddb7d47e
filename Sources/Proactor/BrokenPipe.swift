import CLiburing
import Glibc

/// Writing to pipes without SIGPIPE. Sockets have MSG_NOSIGNAL; pipes have nothing before RWF_NOSIGNAL (6.18).
enum BrokenPipe {
    /// Holds SIGPIPE back from the thread during the call, and takes it off the thread afterwards, unless one was
    /// pending before: that one is somebody else's.
    static func withoutSignal(_ body: () -> Int64) -> Int64 {
        var (pipe, before, pending) = (sigset_t(), sigset_t(), sigset_t())
        sigemptyset(&pipe)
        sigaddset(&pipe, SIGPIPE)
        sigpending(&pending)
        let wasPending = sigismember(&pending, SIGPIPE) == 1
        pthread_sigmask(SIG_BLOCK, &pipe, &before)
        let result = body()
        if !wasPending {
            var zero = timespec()
            _ = sigtimedwait(&pipe, nil, &zero)
        }
        pthread_sigmask(SIG_SETMASK, &before, nil)
        return result
    }
}
