package format

import (
	"bytes"
	"context"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// readNDJSON reads one event a line. A line that is not UTF-8, or not exactly
// an event, is bad.
func readNDJSON(_ context.Context, in *Input, _ Options, emit func(Record) error) error {
	return eachLine(in.reader, maxLine, func(number int64, line []byte, err error) error {
		r := Record{Line: number, Err: err}
		if err == nil {
			var e *audit.Event
			if e, r.Err = audit.DecodeEvent(line, audit.DecodeOptions{Import: true}); r.Err == nil {
				r.Events = []*audit.Event{e}
			}
		}
		return emit(r)
	})
}

// likeNDJSON reports whether a text begins like an event in NDJSON.
func likeNDJSON(head []byte) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(head), []byte("{"))
	return ok && bytes.HasPrefix(bytes.TrimSpace(rest), []byte(`"kind"`))
}

// appendLine appends a line that readNDJSON reads back.
func appendLine(dst []byte, s *db.Stored) []byte { return append(AppendStored(dst, s), '\n') }

// AppendStored appends a stored event as one JSON object: kind, then id (in
// quotes: it is too large for many a reader of JSON numbers), seq, recorded_at
// and source, then event_id where there is one, then the fields. An event whose
// row is damaged also has "damaged", the names of the fields that were mended:
// import refuses it, since it is not what was recorded.
func AppendStored(dst []byte, s *db.Stored) []byte {
	dst = audit.AppendJSON(dst, s.Event, &audit.Recorded{ID: s.ID, Seq: s.Seq, RecordedAt: s.RecordedAt, Checked: len(s.Damaged) == 0})
	if len(s.Damaged) == 0 {
		return dst
	}
	return append(append(append(dst[:len(dst)-1], `,"damaged":["`...), strings.Join(s.Damaged, `","`)...), `"]}`...)
}
