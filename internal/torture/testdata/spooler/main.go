// Command spooler is an application that records while its sink comes and goes:
// 'spooler DIR LOG FIRST EVENTS', with the numbers of its events. It writes into
// the recording what it is about to record, what was acknowledged, and what the
// sink took, which is then safe elsewhere.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	dir, path := args[0], args[1]
	first, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	events, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	s := &sink{log: log}
	r, err := audit.New(s, audit.SpoolDir(dir), audit.SpoolLimit(1<<20, audit.Refuse), audit.Logger(slog.New(slog.NewTextHandler(io.Discard, nil))))
	if err != nil {
		return err
	}
	ctx := context.Background()
	var next atomic.Int64
	next.Store(int64(first))
	var senders sync.WaitGroup
	for sender := range 4 {
		senders.Go(func() {
			for {
				n := 1 + sender*3
				to := next.Add(int64(n))
				from := to - int64(n)
				if from >= int64(first+events) {
					return
				}
				// Away for the first third, there for the second, away for the last.
				s.away.Store((from-int64(first))*3/int64(events) != 1)
				var all []*audit.Event
				var numbers []int
				for i := from; i < to; i++ {
					e := audit.NewEvent(audit.KindAuditLog)
					e.Set("action", "UPDATE")
					e.Set("object_id", strconv.FormatInt(i, 10))
					e.Set("reason", strings.Repeat("why ", int(i%40)))
					all, numbers = append(all, e), append(numbers, int(i))
				}
				note(log, 's', numbers)
				if r.Record(ctx, all...) == nil {
					note(log, 'a', numbers)
				}
			}
		})
	}
	senders.Wait()
	closing, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	_ = r.Close(closing) // what is still in the spool stays there
	return nil
}

// sink is where the events go, and counts for safe. It refuses some for good.
type sink struct {
	log  io.Writer
	away atomic.Bool
}

func (s *sink) Append(_ context.Context, events []*audit.Event) (audit.Appended, error) {
	if s.away.Load() {
		return audit.Appended{}, errors.New("away")
	}
	var numbers []int
	for _, e := range events {
		if e.Kind != audit.KindAuditLog { // of the recorder itself
			continue
		}
		n, err := strconv.Atoi(e.Get("object_id"))
		if err != nil {
			continue
		}
		if n%29 == 3 {
			return audit.Appended{}, fmt.Errorf("%w: the sink will not have it", audit.ErrRejected)
		}
		numbers = append(numbers, n)
	}
	note(s.log, 'd', numbers)
	return audit.Appended{Accepted: len(events)}, nil
}

// note writes a record as the shim does.
func note(w io.Writer, what byte, numbers []int) {
	b := make([]byte, 16, 16+4*len(numbers))
	b[0] = what
	binary.NativeEndian.PutUint32(b[4:], uint32(4*len(numbers)))
	for _, n := range numbers {
		b = binary.NativeEndian.AppendUint32(b, uint32(n))
	}
	if _, err := w.Write(b); err != nil {
		panic(err) // a recording with a hole would prove anything
	}
}
