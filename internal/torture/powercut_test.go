//go:build linux

package torture

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What the senders write into a recording, each with the numbers of its events:
// sent before, acknowledged after, and the same for what the operator decides.
const (
	noteSent     = 's'
	noteAcked    = 'a'
	noteResolved = 'r'
	noteDoomed   = 'x'
	noteDeleted  = 'd'
)

// recorder makes a recording of the program at work.
type recorder struct {
	*house
	path    string
	control *control
	log     *os.File

	mutex     sync.Mutex
	snapshots []snapshot
}

// snapshot is what stands beside the database and the shim does not see, since
// Go writes it without the C library.
type snapshot struct {
	at    int64 // the length of the recording when it was complete
	files map[string][]byte
}

func newRecorder(t testing.TB, dir string) *recorder {
	t.Helper()
	r := &recorder{house: newHouse(t, dir), path: filepath.Join(dir, "recording")}
	r.control = newControl(t, filepath.Join(dir, "control"))
	r.env = append(r.env, "LD_PRELOAD="+theShim(t), "TORTURE_DIR="+r.dir, "TORTURE_LOG="+r.path, "TORTURE_CONTROL="+r.control.path)
	var err error
	if r.log, err = os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.log.Close() })
	return r
}

func (r *recorder) note(what byte, numbers ...int) {
	o := operation{op: what}
	for _, n := range numbers {
		o.data = binary.NativeEndian.AppendUint32(o.data, uint32(n))
	}
	if _, err := r.log.Write(o.encode()); err != nil {
		r.t.Errorf("journal: %v", err)
	}
}

// look keeps what stands beside the database at this moment.
func (r *recorder) look() {
	files := map[string][]byte{}
	_ = filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		name, relErr := filepath.Rel(r.dir, path)
		if err != nil || relErr != nil || d.IsDir() || strings.Contains(name, "ballast") || slices.Contains([]string{"audit.db", "audit.db-wal", "audit.db-shm", "audit.db-journal"}, name) {
			return nil
		}
		if data, err := os.ReadFile(path); err == nil {
			files[name] = data
		}
		return nil
	})
	info, err := r.log.Stat()
	if err != nil {
		r.t.Errorf("journal: %v", err)
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.snapshots = append(r.snapshots, snapshot{info.Size(), files})
}

// life is one run of the server: senders post events from first on until they
// have sent so many, while the operator resolves and deletes some of them.
func (r *recorder) life(source *rand.Rand, first, events, senders, batch int) (last int) {
	r.t.Helper()
	s := r.serve()
	if r.token == "" {
		r.furnish()
	}
	r.look()
	var next atomic.Int64
	next.Store(int64(first))
	var work sync.WaitGroup
	for range senders {
		own := rand.New(rand.NewPCG(source.Uint64(), 1))
		work.Go(func() {
			client := &http.Client{Timeout: patience}
			for {
				n := batchSize(own, batch)
				end := int(next.Add(int64(n)))
				if end-n >= first+events {
					return
				}
				numbers := make([]int, n)
				for i := range numbers {
					numbers[i] = end - n + i
				}
				r.note(noteSent, numbers...)
				for range 20 {
					status, _, _, err := send(client, s.url, r.token, body(numbers))
					if err == nil && status == http.StatusOK {
						r.note(noteAcked, numbers...)
						break
					}
				}
				if own.IntN(8) == 0 {
					r.look()
				}
			}
		})
	}
	operated := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(operated)
		r.operate(s, rand.New(rand.NewPCG(source.Uint64(), 2)), stop)
	}()
	work.Wait()
	close(stop)
	<-operated
	s.stop()
	s.healthy()
	r.look()
	return int(next.Load())
}

// operate resolves and deletes events that are there.
func (r *recorder) operate(s *server, own *rand.Rand, stop chan struct{}) {
	someone, err := s.signIn()
	if err != nil {
		return // a failing disk may be in the way
	}
	for done := 0; ; {
		select {
		case <-stop:
			if done >= 2 {
				return
			}
		default:
		}
		done++
		path, asked, decided := "/system-events", byte(0), byte(noteResolved)
		if done%3 == 0 {
			path, asked, decided = "/audit-logs", noteDoomed, noteDeleted
		}
		a, err := someone.get(path + ".json?limit=50&q=source:" + source)
		var list struct {
			Items []struct {
				ID      string
				EventID string `json:"event_id"`
			}
		}
		if err != nil || json.Unmarshal([]byte(a.body), &list) != nil || len(list.Items) == 0 {
			continue
		}
		item := list.Items[own.IntN(len(list.Items))]
		n, err := strconv.Atoi(strings.TrimPrefix(item.EventID, "t-"))
		if err != nil {
			continue
		}
		verb := "/resolve"
		if asked != 0 {
			r.note(asked, n)
			verb = "/delete"
		}
		a, err = someone.post(path+"/"+item.ID+verb, url.Values{"note": {"seen"}, "reason": {"asked for"}})
		if err == nil && a.status == http.StatusSeeOther {
			r.note(decided, n)
		}
	}
}

// recording is what a recorder brought home.
type recording struct {
	ops       []operation
	snapshots []snapshot
}

func (r *recorder) recording() *recording {
	r.t.Helper()
	ops, err := readRecording(r.path)
	if err != nil {
		r.t.Fatal(err)
	}
	return &recording{ops, r.snapshots}
}

// cutting is what cuts through recordings found.
type cutting struct {
	finding
	acked int // events that were acknowledged before a cut, over all cuts
	bare  int // cuts at which writes were open, so that there was something to lose
	first string
}

// cut rebuilds the disk as a power cut would leave it, at random places of the
// recording, and examines each.
func (rec *recording) cut(t testing.TB, cuts int, own *rand.Rand, deaf func(operation) bool) (c cutting) {
	t.Helper()
	at := make([]int, cuts)
	for i := range at {
		at[i] = own.IntN(len(rec.ops) + 1)
	}
	slices.Sort(at)

	type job struct {
		place  int
		beside string
		files  map[string][]byte
		known  *journal
	}
	jobs := make(chan job)
	var mutex sync.Mutex
	var work sync.WaitGroup
	base := fast(t)
	for worker := range 2 {
		dir := filepath.Join(base, strconv.Itoa(worker))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		work.Go(func() {
			for j := range jobs {
				var v verdict
				if err := writeImage(dir, j.files); err != nil {
					v.complain("write the image: %v", err)
				} else {
					v = examine(t.Context(), filepath.Join(dir, "audit.db"), j.known)
				}
				mutex.Lock()
				c.add(v)
				c.acked += len(j.known.acked)
				if c.first == "" && (v.lost+v.phantom+v.doubled+len(v.wrong) > 0) {
					c.first = fmt.Sprintf("cut at operation %d of %d, %s beside it: %+v", j.place, len(rec.ops), j.beside, v)
				}
				mutex.Unlock()
			}
		})
	}
	d, known, done := newDisk(), newJournal(), 0
	d.deaf = deaf
	for _, place := range at {
		for ; done < place; done++ {
			known.learn(rec.ops[done], d)
		}
		files := d.image(own)
		for _, n := range d.current {
			if len(n.pending)+len(n.doubtful) > 0 {
				c.bare++
				break
			}
		}
		beside := rec.beside(files, place, own)
		jobs <- job{place, beside, files, known.copy()}
	}
	close(jobs)
	work.Wait()
	c.Times = cuts
	return c
}

// learn takes one operation of a recording: into the journal, or to the disk.
func (j *journal) learn(o operation, d *disk) {
	notes := map[byte]map[int]bool{noteSent: j.sent, noteAcked: j.acked, noteResolved: j.resolved, noteDoomed: j.doomed, noteDeleted: j.deleted}
	in := notes[o.op]
	if in == nil {
		d.apply(o)
		return
	}
	for data := o.data; len(data) > 0; data = data[4:] {
		in[int(binary.NativeEndian.Uint32(data))] = true
	}
}

// The states of what is derived from the database and stands beside it.
var besides = []string{"all as it was", "something older", "nothing", "what was cut off", "what was damaged", "something of another time"}

// beside puts what is derived from the database beside it, in one of several
// states, which it returns: it is from later where a copy of the database was
// put back. The index of the log may be anything.
func (rec *recording) beside(files map[string][]byte, place int, own *rand.Rand) string {
	if own.IntN(3) == 0 {
		files["audit.db-shm"] = rubbish(own, 32<<10)
	}
	until := int64(0)
	if place > 0 {
		until = rec.ops[place-1].end
	}
	past, _ := slices.BinarySearchFunc(rec.snapshots, until+1, func(s snapshot, end int64) int { return int(min(max(s.at-end, -1), 1)) })
	way := own.IntN(len(besides))
	from := past
	if way == 5 {
		from = len(rec.snapshots)
	}
	if from == 0 {
		return besides[2]
	}
	chosen := rec.snapshots[from-1]
	if way == 1 || way == 5 {
		chosen = rec.snapshots[own.IntN(from)]
	}
	for name, data := range chosen.files {
		if !derived(name) {
			files[name] = data
			continue
		}
		switch {
		case way == 2:
			continue
		case way == 3 && len(data) > 0 && own.IntN(2) == 0:
			data = data[:own.IntN(len(data))]
		case way == 4 && len(data) > 0 && own.IntN(2) == 0:
			data = slices.Clone(data)
			for range 1 + own.IntN(4) {
				at := own.IntN(len(data)) / sector * sector
				copy(data[at:min(at+sector, len(data))], make([]byte, sector))
			}
		}
		files[name] = data
	}
	return besides[way]
}

// derived reports whether a file beside the database can be made again.
func derived(name string) bool { return !strings.Contains(name, "key") }

func rubbish(own *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(own.Uint32())
	}
	return b
}

// notSynced is a disk that does not do what it says where the log is concerned.
func notSynced(o operation) bool { return strings.HasSuffix(o.name, "-wal") }

// TestR02PowerCut cuts the power while the real server ingests: 200 cuts, in
// the long form 20,000 over 20 recordings. No acknowledged event may be lost, no
// database damaged. In the control the disk only pretends to sync the log; in
// the long form a second control is the program itself with synchronous NORMAL.
// Both have to lose.
func TestR02PowerCut(t *testing.T) {
	beside(t)
	recordings, cuts := size(1, 20), size(200, 20000)
	var all, control cutting
	for i := range recordings {
		began := time.Now()
		own := random(t, uint64(200+i))
		r := newRecorder(t, fast(t))
		n := r.life(own, 0, 450, 4, 20) // enough for segments to be sealed at its end
		r.life(own, n, 250, 4, 200)
		rec := r.recording()
		all.join(rec.cut(t, cuts/recordings, own, nil))
		all.Took += time.Since(began)
		began = time.Now()
		control.join(rec.cut(t, max(50, cuts/recordings/20), own, notSynced))
		control.Took += time.Since(began)
	}
	all.Fault, all.What = "R2", "power cut"
	all.Note = fmt.Sprintf("%d cuts through open writes, %d acknowledged events looked for", all.bare, all.acked)
	judge(t, all.finding)
	if all.first != "" {
		t.Error(all.first)
	}
	if all.bare < cuts/10 || all.acked < cuts {
		t.Errorf("got %d cuts through open writes and %d acknowledged events, want more: this proves little", all.bare, all.acked)
	}
	control.Fault, control.What, control.Note = "R2", "control: a disk that lies", "had to lose, and did"
	mustLose(t, control)
}

// TestR02FirstStart cuts the power within the first forty calls to the disk of a
// database's first start: 60 times, in the long form 2,000. Nothing was
// acknowledged, and the next start makes a database of whatever is there.
func TestR02FirstStart(t *testing.T) {
	beside(t)
	began := time.Now()
	r := newRecorder(t, fast(t))
	r.serve().stop()
	rec := r.recording()
	rec.ops = rec.ops[:min(40, len(rec.ops))]
	cut := rec.cut(t, size(60, 2000), random(t, 298), nil)
	cut.Fault, cut.What, cut.Took = "R2", "power cut at the first start", time.Since(began)
	cut.Note = fmt.Sprintf("%d cuts through open writes", cut.bare)
	judge(t, cut.finding)
	if cut.first != "" {
		t.Error(cut.first)
	}
}

// TestR02ControlNormal is the control at synchronous NORMAL: the program with
// this one setting of the driver's own, everything else as it is.
//
// The quick form builds no second program, and looks whether it could be built.
func TestR02ControlNormal(t *testing.T) {
	beside(t)
	if _, err := carelessly(filepath.Join(root(), "internal", "db", "sqlite.go")); err != nil {
		t.Fatal(err)
	}
	if shop.scale == 0 {
		t.Skip("builds the program anew: with AUDITADMIN_TORTURE=1 alone")
	}
	took := time.Now()
	own := random(t, 299)
	r := newRecorder(t, fast(t))
	r.program = built(t, shop.careless)
	r.life(own, 0, 500, 4, 50)
	control := r.recording().cut(t, size(0, 1000), own, nil)
	control.Fault, control.What, control.Took = "R2", "control: synchronous NORMAL", time.Since(took)
	control.Note = "had to lose, and did"
	mustLose(t, control)
}

func mustLose(t testing.TB, control cutting) {
	t.Helper()
	report(t, control.finding)
	if control.Lost == 0 {
		t.Errorf("the control lost nothing in %d cuts: the harness is blind", control.Times)
	}
}

func (c *cutting) join(o cutting) {
	c.Times += o.Times
	c.Lost += o.Lost
	c.Phantom += o.Phantom
	c.Doubled += o.Doubled
	c.Wrong += o.Wrong
	c.acked += o.acked
	c.bare += o.bare
	if c.first == "" {
		c.first = o.first
	}
}
