package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// What comes in while a demo is served is no invention: it is recorded when it
// comes, whenever it happened, and so is who signs in.
func TestDemoRecordsWhatComesWhenItComes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "demo.db")
	ctx, stop := context.WithCancel(t.Context())
	said, tell := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"demo", "--db", file, "--addr", "127.0.0.1:0", "--events", "20"}, nil, nil, tell, t.Output())
		tell.Close()
	}()
	base := ""
	lines := bufio.NewScanner(said)
	for lines.Scan() && !strings.Contains(lines.Text(), "Stop") {
		if words := strings.Fields(lines.Text()); len(words) == 2 && words[0] == "Open" {
			base = words[1]
		}
	}
	if base == "" {
		t.Fatalf("the demo ended with code %d before it said where it is", <-code)
	}

	var secret bytes.Buffer
	if got := run(ctx, []string{"token", "create", "shop", "--scope", "ingest", "--db", file}, nil, nil, &secret, t.Output()); got != exitDone {
		t.Fatalf("token create ended with code %d", got)
	}
	before := time.Now().Truncate(time.Microsecond)
	happened := before.AddDate(0, 0, -29)
	event := `{"kind":"audit_log","event_id":"late","timestamp":"` + audit.FormatTime(happened) + `","action":"VIEW","module":"till"}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/events", strings.NewReader(event))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(secret.String()))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the event got %s", resp.Status)
	}
	stop()
	if got := <-code; got != exitDone {
		t.Errorf("the demo ended with code %d", got)
	}

	var found bytes.Buffer
	if got := run(t.Context(), []string{"search", "--db", file, "--format", "ndjson", "module:till"}, nil, nil, &found, t.Output()); got != exitDone {
		t.Fatalf("search ended with code %d", got)
	}
	var stored struct {
		RecordedAt time.Time `json:"recorded_at"`
	}
	if err := json.Unmarshal(found.Bytes(), &stored); err != nil {
		t.Fatalf("%v of %q", err, found.String())
	}
	if stored.RecordedAt.Before(before) {
		t.Errorf("an event of %s that came at %s was recorded at %s", happened, before, stored.RecordedAt)
	}
}
