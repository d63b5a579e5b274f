//go:build linux

package torture

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// source is the name of the token that the tests send events with.
const source = "tormentor"

// firstEvent is when the first event happened.
var firstEvent = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// kindOf is the kind of the event of that number.
func kindOf(n int) audit.Kind {
	switch n % 10 {
	case 6, 7:
		return audit.KindLoginAttempt
	case 8:
		return audit.KindDataExport
	case 9:
		return audit.KindSystemEvent
	}
	return audit.KindAuditLog
}

// timeOf is when it happened: mostly one after the other, some in the same
// microsecond, and some long before the others.
func timeOf(n int) time.Time {
	at := firstEvent.Add(time.Duration(n/4*4) * time.Millisecond)
	if n%37 == 0 {
		at = at.AddDate(0, 0, -30)
	}
	return at
}

// markOf follows from the number alone, so that what is read back can be told
// from anything else.
func markOf(n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "event %d", n))
	return hex.EncodeToString(sum[:8])
}

func userOf(n int) string { return "user" + strconv.Itoa(n%17) }

// line is the event of that number as a program sends it.
func line(n int) []byte {
	e := map[string]any{"kind": kindOf(n), "event_id": "t-" + strconv.Itoa(n), "timestamp": audit.FormatTime(timeOf(n)),
		"username": userOf(n), "request_id": markOf(n)}
	switch kindOf(n) {
	case audit.KindAuditLog:
		e["action"], e["content_type"], e["object_id"] = "UPDATE", "shop.order", strconv.Itoa(n%97)
		e["changes"] = map[string]any{"total": map[string]any{"old": n, "new": strings.Repeat("x", n*7%300)}}
	case audit.KindLoginAttempt:
		e["status"], e["ip_address"] = "FAILED", "203.0.113.9"
	case audit.KindDataExport:
		e["export_type"], e["record_count"] = "Orders", n
	case audit.KindSystemEvent:
		e["event_type"], e["title"], e["stack_trace"] = "ERROR", "boom "+strconv.Itoa(n%7), strings.Repeat("at line\n", n%200)
	}
	text, err := json.Marshal(e)
	if err != nil {
		panic(err) // the map is our own
	}
	return append(text, '\n')
}

func body(numbers []int) []byte {
	var b bytes.Buffer
	for _, n := range numbers {
		b.Write(line(n))
	}
	return b.Bytes()
}

// batchSize is between 1 and most, small ones as often as large ones.
func batchSize(r *rand.Rand, most int) int {
	n := 1
	for n < most && r.IntN(3) > 0 {
		n *= 2
	}
	return min(1+r.IntN(n), most)
}

// stored is what the server says it did with a body.
type stored struct{ Accepted, Duplicates, Conflicts int }

// send posts a body once.
func send(client *http.Client, base, token string, body []byte) (status int, s stored, header http.Header, err error) {
	req, err := http.NewRequest(http.MethodPost, base+"/api/v1/events", bytes.NewReader(body))
	if err != nil {
		return 0, s, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return 0, s, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, s, nil, err
	}
	if resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(text, &s)
	}
	return resp.StatusCode, s, resp.Header, err
}

// journal is what the senders know: which events were ever sent, which of them
// were acknowledged, and which were asked to be deleted.
type journal struct {
	mutex    sync.Mutex
	sent     map[int]bool
	acked    map[int]bool
	resolved map[int]bool
	doomed   map[int]bool // a deletion was asked for
	deleted  map[int]bool // and acknowledged
	// strangers is set where others sent events too, which the journal does not
	// know.
	strangers bool
}

func newJournal() *journal {
	return &journal{sent: map[int]bool{}, acked: map[int]bool{}, resolved: map[int]bool{}, doomed: map[int]bool{}, deleted: map[int]bool{}}
}

func (j *journal) mark(in map[int]bool, numbers ...int) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	for _, n := range numbers {
		in[n] = true
	}
}

// copy is what the journal knows now.
func (j *journal) copy() *journal {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return &journal{sent: maps.Clone(j.sent), acked: maps.Clone(j.acked), resolved: maps.Clone(j.resolved), doomed: maps.Clone(j.doomed), deleted: maps.Clone(j.deleted)}
}
