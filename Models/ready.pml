/* The ready list: many producers push nodes (pipes), one consumer takes the list whole. The head is at once the list
 * and the sleeper: EMPTY, a node, or a sentinel that tells how to wake who sleeps.
 *
 *   THREAD  a thread in a wait of the kernel's: waking is one event (an eventfd, a futex word)
 *   TASK    a suspended task: waking is resuming its continuation, which must happen exactly once
 *
 * A wait of a thread may time out; a late event then costs one empty turn. A wait of a task may be cancelled (by its
 * task, or by a deadline, which is the same edge): the canceller takes the sentinel back by compare-exchange, and who
 * takes the sentinel, producer or canceller, owns the one resume. A cancellation that comes before the sentinel
 * stands is left in `mark`, the word of this wait on which task and canceller meet.
 *
 *   -DN=  publications of each of three producers (two of them on one node)
 *   -DTIMEOUTS=  waits of the thread that end early     -DCANCELS=  cancellations
 *   -DTHREADS=0|1 -DTASKS=0|1  which kinds of wait occur       -DBREAK=n  a broken variant (README.md)
 */
#ifndef N
#define N 1
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 1
#endif
#ifndef CANCELS
#define CANCELS 1
#endif
#ifndef THREADS
#define THREADS 1
#endif
#ifndef TASKS
#define TASKS 1
#endif
#ifndef BREAK
#define BREAK 0
#endif
#define EMPTY 0
#define THREAD 1
#define TASK 2
#define NODE 3

#define NONE 0
#define SUSPENDED 1
#define CANCELLED 2

/* Atomic words: the head, the reasons of each node, the mark of the present wait. `next` is plain. */
byte head = EMPTY; byte next[2]; byte reasons[2]; byte mark = NONE;
byte work[3];                                   /* what each producer has published, on the pipe's own word */
byte events = 0;                                /* what the thread waits for */
byte continuation = 0;                          /* plain: number of the wait that is suspended */
byte resumes = 0; bit cancelled = 0;            /* what the task is resumed with */
byte handler = 0; bit inHandler = 0;            /* the runtime's: the wait that can be cancelled now; its handler runs */
/* ghosts */
byte seen[3]; byte sleeps = 0, calls = 0, listed[2], asked = 0; bit suspended = 0;

inline resume(wait, verdict) {
  d_step { assert(continuation == wait && resumes == 0 && suspended); resumes++; cancelled = verdict }
}

/* producer p publishes for node i under reason bit b */
proctype Producer(byte p, i, b) {
  byte k = 0, h, old;
  do
  :: k == N -> break
  :: k < N -> k++;
     work[p] = k;
     d_step { old = reasons[i]; reasons[i] = reasons[i] | b };
     if
     :: old != 0 -> skip                        /* it is in the list, or its pusher is about to put it there */
     :: else ->
        d_step { listed[i]++; assert(listed[i] == 1) };
        do
        :: h = head;
           next[i] = (h < NODE -> EMPTY : h);
           if
           :: d_step { head == h -> head = NODE + i }; break
           :: d_step { head != h -> skip }
           fi
        od;
        if
        :: h == THREAD -> d_step { calls++; events++; assert(calls <= sleeps) }
        :: h == TASK   -> d_step { calls++; assert(calls <= sleeps) };
                          old = continuation; resume(old, 0)
        :: else
        fi
     fi
  od
}

/* Cancels the wait that is open, whenever it likes; at most once a wait. */
proctype Canceller() {
  byte n = 0, wait, old;
end_none:
  do
  :: n == CANCELS -> break
  :: d_step { n < CANCELS && handler != 0 && handler != asked && !inHandler ->
              n++; wait = handler; asked = wait; inHandler = 1 };
     d_step { old = mark; mark = CANCELLED };
#if BREAK == 4
     if :: old == SUSPENDED -> resume(wait, 1) :: else fi;      /* resumes without the sentinel */
#else
     if
     :: old == SUSPENDED ->
        if
        :: d_step { head == TASK -> head = EMPTY }; resume(wait, 1)
        :: d_step { head != TASK -> skip }      /* a producer took it and resumes */
        fi
     :: else -> skip                            /* the task finds the mark before it suspends */
     fi;
#endif
     inHandler = 0
  od
}

/* The wait is over for the runtime: no handler of it runs from here on. */
inline close_wait() {
#if BREAK == 6
  handler = 0
#else
  d_step { !inHandler -> handler = 0 }
#endif
}

proctype Consumer() {
  byte h, i, r, after, timeouts = 0, waits = 0, old;
  do
  :: d_step { h = head; head = EMPTY };         /* exchange: the whole list, or who sleeps */
     if
     :: h >= NODE ->
        do
        :: h < NODE -> break
        :: else ->
           i = h - NODE;
#if BREAK == 2
           d_step { listed[i]--; r = reasons[i]; reasons[i] = 0 };
           after = next[i];                     /* the node may stand in a new list by now */
#else
           after = next[i];
#if BREAK == 3
           if :: i == 0 -> seen[0] = work[0] :: else -> seen[1] = work[1]; seen[2] = work[2] fi;
#endif
           d_step { listed[i]--; r = reasons[i]; reasons[i] = 0 };
#endif
           assert(r != 0);
#if BREAK != 3
           if
           :: i == 0 -> seen[0] = work[0]
           :: else -> if :: r & 1 -> seen[1] = work[1] :: else fi; if :: r & 2 -> seen[2] = work[2] :: else fi
           fi;
#endif
           h = after
        od
     :: else ->
        if
#if THREADS
        :: true ->
#if BREAK == 1
           d_step { head = THREAD; sleeps++ };  /* says that it sleeps without looking again */
#else
           if
           :: d_step { head == EMPTY -> head = THREAD; sleeps++ }
           :: d_step { head != EMPTY -> skip }; goto again
           fi;
#endif
end_thread:
           if
           :: d_step { events > 0 -> events = 0 }
           :: timeouts < TIMEOUTS -> timeouts++
           fi
#endif
#if TASKS
        :: true ->
           waits++;
           d_step { mark = NONE; handler = waits };
           d_step { continuation = waits; resumes = 0; cancelled = 0; suspended = 1 };
           if
           :: d_step { head == EMPTY -> head = TASK; sleeps++ }
           :: d_step { head != EMPTY -> suspended = 0 }; close_wait(); goto again
           fi;
           /* suspended for all others from here: a producer may resume before the next line */
#if BREAK == 5
           d_step { mark = SUSPENDED };
#else
           d_step { old = mark; mark = (mark == NONE -> SUSPENDED : mark) };
           if
           :: old == CANCELLED ->               /* it came too early for its canceller to act */
              if
              :: d_step { head == TASK -> head = EMPTY }; resume(waits, 1)
              :: d_step { head != TASK -> skip }
              fi
           :: else
           fi;
#endif
end_task:
           d_step { resumes > 0 -> suspended = 0 };
           assert(!cancelled || asked == waits);
           close_wait()
#endif
        fi
     fi;
again: skip
  od
}

/* At rest the consumer has seen everything, sleeps under its sentinel, and no cancelled wait is still asleep. */
proctype Auditor() {
  timeout ->
  assert(seen[0] == N && seen[1] == N && seen[2] == N && (head == THREAD || head == TASK) && calls <= sleeps);
  assert(head != TASK || (suspended && asked != continuation))
}

init { atomic { run Producer(0,0,1); run Producer(1,1,1); run Producer(2,1,2); run Canceller(); run Consumer(); run Auditor() } }

ltl served { <> (seen[0] == N && seen[1] == N && seen[2] == N) }
