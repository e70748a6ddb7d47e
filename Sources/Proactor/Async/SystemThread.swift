import CLiburing
import Glibc

/// A thread of the operating system that runs one body and ends: loops must not occupy the pool of Swift tasks.
package enum SystemThread {
    private final class Start {
        let body: @Sendable () -> Void
        let name: String

        init(_ name: String, _ body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts a detached thread.
    /// - Parameters:
    ///   - name: For debuggers; the kernel keeps 15 bytes.
    ///   - body: What it runs; all signals are blocked there, so that they go to the program's own threads.
    /// - Throws: `system` where no thread can be made (EAGAIN).
    package static func start(named name: String, _ body: @escaping @Sendable () -> Void) throws(ProactorError) {
        let start = Unmanaged.passRetained(Start(name, body))
        var thread = pthread_t()
        // A new thread inherits the mask: set before, restored after, so that no signal falls into the gap.
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        let error = pthread_create(
            &thread, nil,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                proactor_name_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        pthread_sigmask(SIG_SETMASK, &before, nil)
        guard error == 0 else {
            start.release()
            throw .system(SystemError(code: error), during: "pthread_create")
        }
        pthread_detach(thread)
    }

    /// Which thread this is, among those that live.
    package static var current: UInt { UInt(pthread_self()) }
}
