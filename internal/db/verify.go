package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// VerifyOptions say how much to verify, and against what.
type VerifyOptions struct {
	// SinceCheckpoint verifies only what was recorded after the newest checkpoint
	// that holds: a second's work where a full run takes minutes. It sees no
	// change of what came before.
	SinceCheckpoint bool
	// After, beside SinceCheckpoint, is an entry up to which everything was
	// verified before: it goes on after that one.
	After int64
	// Saved are checkpoints that were kept elsewhere, as signed notes.
	Saved []string
	// PublicKeys are those of the key file; signatures are not checked without.
	PublicKeys []string
	// Workers is how many parts are read at the same time; 0 means one for each
	// processor.
	Workers int
	// Share is what part of its time each worker works; it sleeps for the rest, and
	// works a tenth of that while somebody asks for pages. 0 means all of it.
	Share float64
	// Limit is how many problems are named at most; 0 means 1000. All are counted.
	Limit int
	// Progress, if not nil, is called now and then with the number of events done
	// and of all there are.
	Progress func(done, all int64)
}

// Trouble says what is wrong at one place.
type Trouble string

// What can be wrong.
const (
	Altered   Trouble = "altered"   // the content is not what was recorded
	Missing   Trouble = "missing"   // it was recorded and is not there, and nothing says that it was deleted
	Inserted  Trouble = "inserted"  // it is there and was never recorded
	Reordered Trouble = "reordered" // it has the place of another
	Truncated Trouble = "truncated" // the ledger ends before it once did
	Rewritten Trouble = "rewritten" // the ledger is another one than was stated
	Damaged   Trouble = "damaged"   // it cannot be read
	Unsigned  Trouble = "unsigned"  // a checkpoint without a signature that holds
	Rolled    Trouble = "restored"  // an earlier state took the place of what was stated
)

// Problem is a place where the database is not what its evidence says.
type Problem struct {
	Trouble Trouble
	Table   string
	ID      int64    // of the row, or 0
	Seq     int64    // in the ledger, or 0
	Fields  []string // which of its fields, where that can be known
	Detail  string   // a sentence without a full stop
}

// String says the problem in one line.
func (p Problem) String() string {
	s := string(p.Trouble) + ": " + p.Table
	if p.ID != 0 {
		s += fmt.Sprintf(" %d", p.ID)
	}
	if p.Seq != 0 && (p.Table != "ledger" || p.ID != 0) {
		s += fmt.Sprintf(" (entry %d)", p.Seq)
	} else if p.Seq != 0 {
		s += fmt.Sprintf(" %d", p.Seq)
	}
	for i, f := range p.Fields {
		s += map[bool]string{true: ", field ", false: ", "}[i == 0] + f
	}
	return s + ": " + p.Detail
}

// Verdict is what a verification found.
type Verdict struct {
	From        int64 // the first entry of the ledger that was verified
	UpTo        int64 // the last one
	Entries     int64
	Events      int64 // whose every field was verified
	Gone        int64 // events that were deleted or purged, with their trace
	Redacted    int64
	Checkpoints int // that the tree was compared with
	Signed      int // of those, with a signature that holds
	KeysGiven   bool
	Root        evidence.Hash
	Restored    []Incarnation // the lives after the first one: no problem by themselves
	Problems    []Problem     // in the order of table and id
	More        int64         // how many further ones there are
	At          time.Time
	Took        time.Duration
}

// Holds reports whether nothing is wrong.
func (v *Verdict) Holds() bool { return len(v.Problems) == 0 }

// bucketEntries is how many entries of the ledger are counted together: their
// events are looked for one by one only where some are not there.
const bucketEntries = 4096

// verification is one run.
type verification struct {
	ctx     context.Context
	store   *Store
	readers map[audit.Kind]*rowReader
	options VerifyOptions
	after   int64 // the last entry that is not looked at
	head    int64 // the last entry that is
	created []int32
	seen    []atomic.Int32
	doubted map[audit.Kind]map[int64]bool // ids of rows without their place in the ledger
	done    atomic.Int64
	total   int64

	mu       sync.Mutex
	verdict  Verdict
	problems map[string]bool
}

// Verify checks the database against its evidence: every event against its
// leaf, the leaves against the tree, the tree against every checkpoint, and what
// was resolved, deleted, redacted, purged and held against the ledger. It reads
// range by range, each in a snapshot of its own, so that it holds up nobody and
// others go on writing beside it.
//
// An error means that the database could not be read; what is wrong in it is in
// the verdict.
func (s *Store) Verify(ctx context.Context, o VerifyOptions) (*Verdict, error) {
	start := s.now()
	if o.Workers <= 0 {
		o.Workers = runtime.NumCPU()
	}
	if o.Limit <= 0 {
		o.Limit = 1000
	}
	v := &verification{ctx: ctx, store: s, readers: s.dialect.rowReaders(), options: o, doubted: map[audit.Kind]map[int64]bool{}, problems: map[string]bool{}}
	v.verdict.KeysGiven, v.verdict.At = len(o.PublicKeys) > 0, start
	if err := v.run(); err != nil {
		return nil, fmt.Errorf("verify the database: %w", s.dialect.classify(err))
	}
	slices.SortStableFunc(v.verdict.Problems, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.Table, b.Table), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Seq, b.Seq))
	})
	v.verdict.Took = s.now().Sub(start)
	return &v.verdict, nil
}

// Check verifies one event: that it is what its entry in the ledger says, and its
// state what was decided last. It returns nil where it holds, and where there is
// no such event; else what is wrong with it. It takes about as long as reading the
// event, so it can be asked whenever the event is shown.
func (s *Store) Check(ctx context.Context, kind audit.Kind, id int64) (*Problem, error) {
	v := &verification{ctx: ctx, store: s, readers: s.dialect.rowReaders(), options: VerifyOptions{Limit: 10}, doubted: map[audit.Kind]map[int64]bool{}, problems: map[string]bool{}}
	err := v.checkRows(kind, v.readers[kind].byID, id, id)
	if err == nil {
		err = v.judgeDoubted()
	}
	if err != nil {
		return nil, fmt.Errorf("verify %s %d: %w", kind.Singular(), id, s.dialect.classify(err))
	}
	if len(v.verdict.Problems) == 0 {
		return nil, nil
	}
	return &v.verdict.Problems[0], nil
}

func (v *verification) run() error {
	if err := v.store.worker().GetContext(v.ctx, &v.head, "SELECT coalesce(max(seq), 0) FROM ledger"); err != nil {
		return err
	}
	marks, err := v.checkpoints()
	if err != nil {
		return err
	}
	if v.options.SinceCheckpoint {
		v.after = min(v.options.After, v.head)
		for _, m := range marks {
			if m.Size <= v.head && v.options.After == 0 {
				v.after = max(v.after, m.Size)
			}
		}
	}
	v.verdict.From, v.verdict.UpTo, v.verdict.Entries = min(v.after+1, v.head), v.head, v.head-v.after
	buckets := int((v.head-v.after)/bucketEntries) + 1
	v.created, v.seen = make([]int32, buckets), make([]atomic.Int32, buckets)

	jobs := make(chan func() error)
	var failed error
	var once sync.Once
	var workers sync.WaitGroup
	stop := make(chan struct{})
	fail := func(err error) {
		once.Do(func() { failed = err; close(stop) })
	}
	for range v.options.Workers {
		workers.Go(func() {
			for job := range jobs {
				if err := job(); err != nil {
					fail(err)
				}
			}
		})
	}
	give := func(job func() error) error {
		select {
		case jobs <- job:
			return nil
		case <-stop:
			return errStopped
		}
	}
	err = give(func() error { return v.ledger(marks) })
	if err == nil {
		err = v.rows(give)
	}
	close(jobs)
	workers.Wait()
	if failed != nil {
		return failed
	}
	if err != nil && !errors.Is(err, errStopped) {
		return err
	}
	for _, step := range []func() error{v.below, v.gone, v.judgeDoubted, v.vouched} {
		err := step()
		if errors.Is(v.store.dialect.classify(err), ErrDamaged) {
			v.problem(Problem{Trouble: Damaged, Table: "database", Detail: "not everything can be read: " + err.Error()})
		} else if err != nil {
			return err
		}
	}
	return v.complete()
}

// complete makes sure that every event was looked at: that nothing is wrong with
// what was is not enough.
func (v *verification) complete() error {
	var created, seen int64
	for b := range v.created {
		created += int64(v.created[b])
		seen += int64(v.seen[b].Load())
	}
	if v.verdict.Holds() && seen+v.verdict.Gone < created {
		return fmt.Errorf("of %d events %d were passed over; this is a fault of the program, please report it", created, created-seen-v.verdict.Gone)
	}
	return nil
}

// errStopped says that something else failed.
var errStopped = errors.New("stopped")

// attention knows whether somebody asked for a page a moment ago.
type attention struct{ last atomic.Int64 } // nanoseconds since 1970

func (a *attention) now() { a.last.Store(time.Now().UnixNano()) }

func (a *attention) recently() bool {
	return time.Since(time.Unix(0, a.last.Load())) < 2*time.Second
}

// pause sleeps for what the work since began leaves of the worker's time.
func (v *verification) pause(began time.Time) error {
	if v.options.Share <= 0 || v.options.Share >= 1 {
		return nil
	}
	share := v.options.Share
	if v.store.asked.recently() {
		share /= 10
	}
	sleep := time.NewTimer(time.Duration(float64(time.Since(began)) * (1/share - 1)))
	defer sleep.Stop()
	select {
	case <-sleep.C:
		return nil
	case <-v.ctx.Done():
		return v.ctx.Err()
	}
}

// problem adds a problem, once.
func (v *verification) problem(p Problem) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := fmt.Sprint(p.Trouble, p.Table, p.ID, p.Seq)
	if v.problems[key] {
		return
	}
	if len(v.verdict.Problems) >= v.options.Limit {
		v.verdict.More++
		return
	}
	v.problems[key] = true
	v.verdict.Problems = append(v.verdict.Problems, p)
}

// bucket is the number of an entry's bucket.
func (v *verification) bucket(seq int64) int { return int((seq - v.after - 1) / bucketEntries) }

// inRange reports whether an entry is one of those that are looked at.
func (v *verification) inRange(seq int64) bool { return seq > v.after && seq <= v.head }

func (v *verification) progress(n int) {
	done := v.done.Add(int64(n))
	if v.options.Progress != nil {
		v.options.Progress(min(done, v.total), v.total)
	}
}
