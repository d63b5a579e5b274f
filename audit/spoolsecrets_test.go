package audit

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// TestT12_NoSecretInTheSpool records changes with secrets while the sink is away:
// what waits on the disk for it holds none of them.
func TestT12_NoSecretInTheSpool(t *testing.T) {
	dir := t.TempDir()
	var log strings.Builder
	r := spooling(t, &memory{away: errAway}, dir, MaskKey(testKey), Logger(textLogger(&log)))
	var secrets []string
	const events = 500
	for i := range events {
		secret, number := fmt.Sprintf("Canary%dx%d", i, 7919*i+104729), 600_000_000+i
		secrets = append(secrets, secret, fmt.Sprint(number))
		if err := r.LogAuditEvent(context.Background(), AuditLog{Action: "UPDATE", ContentType: "auth.user", ObjectID: fmt.Sprint(i), Reason: "see https://app.example/x?token=" + secret,
			Changes:  Changes{"password": {Old: secret, New: number}, "settings": {New: map[string]any{"smtp": map[string]any{"password": secret}}}},
			Metadata: map[string]any{"pin": number, "deep": []any{map[string]any{"api_key": secret}}, "header": "Authorization: Bearer " + secret}}); err != nil {
			t.Fatal(err)
		}
	}
	kept := spoolText(t, dir)
	if n := strings.Count(kept, "auth.user"); n != events {
		t.Fatalf("the spool holds %d events, want %d", n, events)
	}
	if err := r.Close(context.Background()); err != nil { // nobody writes the log any more
		t.Log(err)
	}
	for _, secret := range secrets {
		if strings.Contains(kept, secret) || strings.Contains(log.String(), secret) {
			t.Errorf("the spool or the log holds %q", secret)
		}
	}
}
