package format

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// The files of an evidence bundle.
const (
	bundleReadme     = "README.txt"
	bundleQuery      = "query.json"
	bundleNDJSON     = "events.ndjson"
	bundleCSV        = "events.csv"
	bundleProofs     = "proofs.ndjson"
	bundleCheckpoint = "checkpoint.txt"
	bundleKeys       = "public-keys.txt"
)

// bundleFiles are all there are.
var bundleFiles = []string{bundleReadme, bundleQuery, bundleNDJSON, bundleCSV, bundleProofs, bundleCheckpoint, bundleKeys}

// unproven are the fields of a kind that change after an event is recorded, and
// are therefore not in its leaf.
func unproven(kind audit.Kind) (names []string) {
	for _, f := range kind.Fields() {
		if f.Mutable {
			names = append(names, f.Name)
		}
	}
	return names
}

// bundleProofChunk is how many proofs are made at a time.
const bundleProofChunk = 256

// Bundle says what an evidence bundle is of, as its query.json does.
type Bundle struct {
	Kind     audit.Kind `json:"kind"`
	Query    string     `json:"query"`
	Sentence string     `json:"sentence"` // what the query means
	Zone     string     `json:"tz"`       // of the dates in it
	Events   int64      `json:"events"`
	UpTo     int64      `json:"up_to"` // the ledger's entry up to which the query looked
	Database string     `json:"database"`
	By       string     `json:"by"`
	At       string     `json:"at"`
}

// WriteBundle writes a zip file with which somebody who has neither the database
// nor trust in it can check events: the events that a selection matches, a proof
// of each of them against one signed checkpoint, and how to check them. It streams
// in constant memory. The error wraps db.ErrNoKeys, or db.ErrConflict where an
// event was deleted on the way: half of the evidence is none.
func WriteBundle(ctx context.Context, w io.Writer, store *db.Store, sel *db.Selection, by string, now time.Time) (Bundle, error) {
	f := sel.Filter()
	b := Bundle{Kind: f.Kind, Query: f.String(), Sentence: f.Sentence(), Zone: f.Zone.String(), UpTo: sel.UpTo(), By: by, At: audit.FormatTime(now)}
	c, err := store.Checkpoint(ctx)
	if err != nil {
		return b, fmt.Errorf("make a checkpoint for the evidence: %w", err)
	}
	keys, err := store.PublicKeys()
	if err != nil {
		return b, err
	}
	out := zip.NewWriter(w)
	create := func(name string) (io.Writer, error) {
		return out.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: now.UTC().Truncate(time.Second)})
	}
	put := func(name, text string) error {
		entry, err := create(name)
		if err == nil {
			_, err = io.WriteString(entry, text)
		}
		return err
	}
	first, second := sha256.New(), sha256.New()
	for _, file := range []struct {
		name  string
		write func(io.Writer) (int64, error)
	}{
		{bundleNDJSON, func(w io.Writer) (int64, error) { return writeAll(ctx, w, sel, "ndjson", first) }},
		{bundleCSV, func(w io.Writer) (int64, error) { return writeAll(ctx, w, sel, "csv", second) }},
		{bundleProofs, func(w io.Writer) (int64, error) { return writeProofs(ctx, w, store, sel, c) }},
	} {
		entry, err := create(file.name)
		if err != nil {
			return b, err
		}
		n, err := file.write(entry)
		if err != nil {
			return b, fmt.Errorf("write %s: %w", file.name, err)
		}
		if file.name == bundleNDJSON {
			b.Events = n
		} else if n != b.Events {
			return b, fmt.Errorf("write %s: it has %d events, and there were %d: some were deleted meanwhile: %w", file.name, n, b.Events, db.ErrConflict)
		}
	}
	if !bytes.Equal(first.Sum(nil), second.Sum(nil)) {
		return b, fmt.Errorf("write %s: something was decided meanwhile on an event of it; try again: %w", bundleCSV, db.ErrConflict)
	}
	if signed, _, err := evidence.OpenCheckpoint(c.Note, keys); err == nil {
		b.Database = signed.Origin()
	}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return b, err
	}
	for _, file := range []struct{ name, text string }{
		{bundleCheckpoint, c.Note}, {bundleKeys, strings.Join(keys, "\n") + "\n"}, {bundleQuery, string(text) + "\n"}, {bundleReadme, readme(b)},
	} {
		if err := put(file.name, file.text); err != nil {
			return b, err
		}
	}
	return b, out.Close()
}

// writeAll writes the events in a format, and their unproven fields to decided:
// what is decided between two files would make them disagree.
func writeAll(ctx context.Context, w io.Writer, sel *db.Selection, name string, decided io.Writer) (n int64, err error) {
	fields := unproven(sel.Filter().Kind)
	writer, err := NewWriter(name, w, sel.Filter().Kind)
	if err == nil {
		err = writer.Begin()
	}
	if err == nil {
		err = sel.Each(ctx, func(st *db.Stored) error {
			n++
			for _, name := range fields {
				fmt.Fprintf(decided, "%q ", st.Get(name))
			}
			return writer.Write(st)
		})
	}
	if err == nil {
		err = writer.End()
	}
	return n, err
}

// writeProofs writes a line for each event, in the order of the others. What is
// the same for all, checkpoint and keys, stands in files of its own.
func writeProofs(ctx context.Context, w io.Writer, store *db.Store, sel *db.Selection, c *db.SignedCheckpoint) (n int64, err error) {
	out := bufio.NewWriterSize(w, 64<<10)
	var ids []int64
	flush := func() error {
		err := store.Proofs(ctx, sel.Filter().Kind, ids, c, func(p *evidence.Proof) error {
			n++
			p.Checkpoint, p.PublicKeys = "", nil
			var line bytes.Buffer
			err := json.Compact(&line, p.Text())
			if err == nil {
				line.WriteByte('\n')
				_, err = line.WriteTo(out)
			}
			return err
		})
		ids = ids[:0]
		return err
	}
	err = sel.Each(ctx, func(st *db.Stored) error {
		if ids = append(ids, st.ID); len(ids) < bundleProofChunk {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = out.Flush()
	}
	return n, err
}

func readme(b Bundle) string {
	var later string
	if fields := unproven(b.Kind); len(fields) > 0 {
		later = "\nWhat was decided after an event was recorded is not part of its proof, and is\nvouched for by the database alone: " + strings.Join(fields, ", ") + ".\n"
	}
	return fmt.Sprintf(`Evidence from an audit log

%s
%d events (%s), handed out by %s at %s.

%s  the events, one JSON object a line, newest first
%s     the same as a table
%s  for each event the proof that it is recorded just so
%s the signed state of the ledger that the proofs lead to
%s who signed that; compare it with the key that you have from elsewhere
%s     the query, and when and by whom it was asked

To check all of it, without the database and without a network:

    auditadmin prove check BUNDLE.zip --key KEY

where KEY is the public key as you got it earlier or from somebody you trust. It
says that every event here is a leaf of the ledger as it was signed, that nothing
in it was altered since, and that the two files of events agree. It cannot say
that these are all events that match the query, nor who asked for them: for that,
ask for the database itself and run 'auditadmin verify' with this checkpoint.
%s

The proofs are inclusion proofs of RFC 6962, the checkpoint is a signed note
(C2SP tlog-checkpoint), so other tools can check them too.
`, b.Sentence, b.Events, b.Kind.Plural(), b.By, b.At, bundleNDJSON, bundleCSV, bundleProofs, bundleCheckpoint, bundleKeys, bundleQuery, later)
}

// Checked is what CheckBundle found to hold.
type Checked struct {
	Bundle
	Checkpoint *evidence.Checkpoint
	Signed     []string // the keys that signed it, of those it was checked with
	Unproven   []string // the fields that no proof speaks of: they change after an event is recorded
}

// CheckBundle checks an evidence bundle with nothing but itself and the keys
// given; with none, with those that it names. Every event of it has to be the
// one its proof shows, every proof has to lead to the checkpoint, and the
// checkpoint has to be signed. The error wraps evidence.ErrProof and names the
// event.
func CheckBundle(r io.ReaderAt, size int64, keys []string) (*Checked, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("read the bundle: %w", err)
	}
	read := func(name string) (string, error) {
		f, err := archive.Open(name)
		if err != nil {
			return "", fmt.Errorf("read the bundle: %w", err)
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, 1<<20))
		return string(text), err
	}
	about, err := read(bundleQuery)
	if err != nil {
		return nil, err
	}
	note, err := read(bundleCheckpoint)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		text, err := read(bundleKeys)
		if err != nil {
			return nil, err
		}
		keys = strings.Split(strings.TrimSpace(text), "\n")
	}
	c := &Checked{}
	if err := json.Unmarshal([]byte(about), &c.Bundle); err != nil {
		return nil, fmt.Errorf("read %s of the bundle: %w", bundleQuery, err)
	}
	if !slices.Contains(audit.Kinds(), c.Kind) {
		return nil, fmt.Errorf("%w: %s names no kind of events: %q", evidence.ErrProof, bundleQuery, c.Kind)
	}
	for _, f := range archive.File {
		if !slices.Contains(bundleFiles, f.Name) {
			return nil, fmt.Errorf("%w: %q is in the bundle, and nothing vouches for it", evidence.ErrProof, f.Name)
		}
	}
	c.Unproven = unproven(c.Kind)
	if c.Checkpoint, c.Signed, err = evidence.OpenCheckpoint(note, keys); err != nil {
		return nil, fmt.Errorf("%w: %w", evidence.ErrProof, err)
	}
	if len(c.Signed) == 0 {
		return nil, fmt.Errorf("%w: its checkpoint carries no signature of the keys that it was checked with", evidence.ErrProof)
	}
	return c, c.checkEvents(archive, note, keys)
}

// checkEvents goes through events, their table and their proofs side by side.
func (c *Checked) checkEvents(archive *zip.Reader, note string, keys []string) error {
	events, err := archive.Open(bundleNDJSON)
	if err != nil {
		return fmt.Errorf("read the bundle: %w", err)
	}
	defer events.Close()
	proofs, err := archive.Open(bundleProofs)
	if err != nil {
		return fmt.Errorf("read the bundle: %w", err)
	}
	defer proofs.Close()
	cells, err := archive.Open(bundleCSV)
	if err != nil {
		return fmt.Errorf("read the bundle: %w", err)
	}
	defer cells.Close()
	table := newTableCheck(cells, c.Kind)
	if err := table.begin(); err != nil {
		return err
	}
	a, b := bufio.NewReaderSize(events, 64<<10), bufio.NewReaderSize(proofs, 64<<10)
	above := int64(math.MaxInt64) // the id of the event before
	for n := int64(0); ; n++ {
		event, errA := a.ReadBytes('\n')
		proof, errB := b.ReadBytes('\n')
		if errA == io.EOF && errB == io.EOF && len(event) == 0 && len(proof) == 0 {
			if n != c.Events {
				return fmt.Errorf("%w: the bundle has %d events and says that it has %d", evidence.ErrProof, n, c.Events)
			}
			return table.end()
		}
		if errA != nil || errB != nil {
			return fmt.Errorf("%w: event number %d and its proof are not both there", evidence.ErrProof, n+1)
		}
		st, err := checkEvent(event, proof, c.Kind, note, keys)
		if err == nil && st.ID >= above { // one that stands there twice would count twice
			err = fmt.Errorf("%w: its id %d is not below that of the event before", evidence.ErrProof, st.ID)
		}
		if err == nil {
			above = st.ID
			err = table.row(st)
		}
		if err != nil {
			return fmt.Errorf("event number %d: %w", n+1, err)
		}
	}
}

// tableCheck compares a table of events with what it would be made from the
// events, byte by byte: people read the table, and the proofs are of the events.
type tableCheck struct {
	table     *bufio.Reader
	kind      audit.Kind
	want, got []byte
}

func newTableCheck(r io.Reader, kind audit.Kind) *tableCheck {
	return &tableCheck{table: bufio.NewReaderSize(r, 64<<10), kind: kind}
}

// next compares as many bytes of the table as it should have here.
func (t *tableCheck) next(want []byte) error {
	t.want = want
	t.got = slices.Grow(t.got[:0], len(want))[:len(want)]
	if _, err := io.ReadFull(t.table, t.got); err != nil || !bytes.Equal(t.got, want) {
		return fmt.Errorf("%w: %s does not say of it what %s says", evidence.ErrProof, bundleCSV, bundleNDJSON)
	}
	return nil
}

func (t *tableCheck) begin() error {
	if err := t.next(appendHeader(t.want[:0], t.kind)); err != nil {
		return fmt.Errorf("%w: the first row of %s is not the names of the fields", evidence.ErrProof, bundleCSV)
	}
	return nil
}

func (t *tableCheck) row(st *db.Stored) error { return t.next(appendRow(t.want[:0], st)) }

func (t *tableCheck) end() error {
	if _, err := t.table.ReadByte(); err != io.EOF {
		return fmt.Errorf("%w: %s has rows that %s has not", evidence.ErrProof, bundleCSV, bundleNDJSON)
	}
	return nil
}

// checkEvent checks that an event is the one its proof shows, and the proof. It
// returns the event.
func checkEvent(line, proof []byte, kind audit.Kind, note string, keys []string) (*db.Stored, error) {
	p, err := evidence.ParseProof(proof)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", evidence.ErrProof, err)
	}
	p.Checkpoint = note
	if _, _, err := p.Check(keys); err != nil {
		return nil, err
	}
	// The line that the event would have been written as, from the proof alone.
	id, err := strconv.ParseInt(p.ID, 10, 64)
	if err != nil || p.Kind != string(kind) {
		return nil, fmt.Errorf("%w: its proof is of %s %s", evidence.ErrProof, p.Kind, p.ID)
	}
	got, err := audit.DecodeEvent(bytes.TrimSuffix(line, []byte("\n")), audit.DecodeOptions{Import: true})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", evidence.ErrProof, err)
	}
	var head struct {
		ID         string `json:"id"`
		Seq        int64  `json:"seq"`
		RecordedAt string `json:"recorded_at"`
	}
	if err := json.Unmarshal(line, &head); err != nil || head.ID != p.ID || head.Seq != p.Seq || head.RecordedAt != p.RecordedAt || got.Source != p.Source || got.EventID != p.EventID {
		return nil, fmt.Errorf("%w: %s %d has another id, place, time of recording, source or event_id than its proof", evidence.ErrProof, kind.Singular(), id)
	}
	for _, f := range p.Fields {
		want := f.Value
		if at := kind.Index(f.Name); at < 0 || compact(kind.Fields()[at], got.Get(f.Name)) != compact(kind.Fields()[at], want) {
			return nil, fmt.Errorf("%w: %s of %s %d is not what its proof shows", evidence.ErrProof, f.Name, kind.Singular(), id)
		}
		got.Set(f.Name, want)
	}
	at, err := audit.ParseTime(head.RecordedAt)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", evidence.ErrProof, err)
	}
	return &db.Stored{Event: got, ID: id, Seq: head.Seq, RecordedAt: at}, nil
}

// compact takes out of JSON the line breaks that one line cannot have.
func compact(f audit.Field, v string) string {
	var out bytes.Buffer
	if f.Type != audit.JSON || !strings.ContainsAny(v, "\r\n") || json.Compact(&out, []byte(v)) != nil {
		return v
	}
	return out.String()
}
