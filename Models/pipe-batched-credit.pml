/* The pipe whose consumer is an application: it takes messages out of runs and gives room back in lots of half the
 * mark, or when the pipe is dry. The writer is a session that received a run, or another application (inproc).
 *
 * The same two words as in pipe.pml; life and death of chunks is proved there and left out here. Each d_step is one
 * load or one read-modify-write of one word. `ready` and `roomy` are the pipe's entries in the consumer's and the
 * writer's ready lists (ready.pml).
 *
 *   -DN=  messages   -DMARK=  high-water mark   -DGIVEUPS=  waits of the writer that end early
 *   -DBREAK=n  a broken variant (README.md)
 */
#ifndef N
#define N 5
#endif
#ifndef MARK
#define MARK 3
#endif
#ifndef GIVEUPS
#define GIVEUPS 2
#endif
#ifndef BREAK
#define BREAK 0
#endif
#define HALF (MARK/2)
#define LOT ((MARK+1)/2)

byte count = 0; bit idle = 1;           /* W: messages published; nobody consumes */
byte credited = 0; bit waiting = 0;     /* R: messages given back; the writer is blocked */
bit ready = 0, roomy = 0;
byte taken = 0; bit writerDone = 0;     /* ghosts */

proctype Writer() {
  byte published = 0, lot, seen, gaveUp = 0; bit was;
look:
  do
  :: published == N -> break
  :: else ->
     seen = credited;                                    /* load R */
     assert(published - seen <= MARK);
     if
     :: published - seen < MARK ->
        lot = 1;                                         /* a run of any length that the mark allows */
        do :: lot < MARK - (published - seen) && lot < N - published -> lot++ :: break od;
        published = published + lot;
        d_step { was = idle; count = published; idle = 0; assert(count - taken <= MARK) };
        if :: was -> d_step { assert(!ready); ready = 1 } :: else fi
     :: else ->
#if BREAK == 1
        waiting = 1;                                     /* says that it sleeps without looking again */
#else
        if
        :: d_step { credited == seen -> waiting = 1 }
        :: d_step { credited != seen -> skip }; goto look
        fi;
#endif
        if
        :: d_step { roomy -> roomy = 0 }
        :: gaveUp < GIVEUPS -> gaveUp++; d_step { waiting = 0 }
        fi
     fi
  od;
  writerDone = 1
}

proctype Consumer() {
  byte saw, published, lot = 0; bit was, owed;
rest:
end_rest:
  if :: d_step { ready -> ready = 0 } fi;                /* only the list brings the consuming side */
  do
  :: saw = count;                                        /* load W */
     if :: taken < saw -> taken++; lot++ :: else fi;
     /* -- give room back: in lots, and whatever is left when dry -- */
     if
#if BREAK == 3
     :: lot >= LOT ->
#else
     :: lot >= LOT || (lot > 0 && taken == saw) ->
#endif
give:   true;
        d_step { was = waiting; owed = 0 };              /* load R */
        if
        :: was ->
           published = count;                            /* load W: the writer published before it waited */
#if BREAK == 4
           d_step { owed = (published - taken < HALF) }
#else
           d_step { owed = (published - taken <= HALF) }
#endif
        :: else
        fi;
        /* -- one compare-exchange of R: the new total, and the flag unless the writer is to be woken. Only this side
         *    changes the total, so comparing the word is comparing the flag. -- */
        if
        :: d_step { waiting == was -> credited = taken; waiting = was && !owed }
#if BREAK == 5
        :: d_step { waiting != was -> credited = taken; waiting = was && !owed }   /* a store: it compares nothing */
#else
        :: d_step { waiting != was -> skip }; goto give
#endif
        fi;
        lot = 0;
        if :: owed -> d_step { roomy = 1 } :: else fi
     :: else
     fi;
     /* -- dry: rest, if nothing came meanwhile -- */
     if
     :: taken < saw -> skip
     :: else ->
#if BREAK == 2
        idle = 1; goto rest                              /* rests without looking again */
#else
        if
        :: d_step { count == saw -> idle = 1 }; goto rest
        :: d_step { count != saw -> skip }
        fi
#endif
     fi
  od
}

proctype Auditor() {
  timeout -> assert(writerDone && taken == N && count == N && credited == N && idle && !ready && !waiting)
}

init { atomic { run Writer(); run Consumer(); run Auditor() } }

ltl delivered { <> (taken == N) }
ltl woken { [] (waiting -> <> !waiting) }
