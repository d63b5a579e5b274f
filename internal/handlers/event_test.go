package handlers

import (
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// TestSessionOfEveryKind leads from an event to those of other kinds in its session.
func TestSessionOfEveryKind(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	signedIn := s.find(audit.KindLoginAttempt, at(2*time.Hour))
	login := s.page("viewer", "/login-attempts/"+signedIn)
	if !strings.Contains(login, "Of the same session") || !strings.Contains(login, `href="/audit-logs?q=session%3As-1"`) || !strings.Contains(login, "4 events") {
		t.Error("a sign-in does not lead to what was done in its session")
	}
	if log := s.page("viewer", "/audit-logs/"+ids[audit.KindAuditLog]); !strings.Contains(log, `href="/login-attempts?q=session%3As-1"`) || strings.Contains(log, `href="/data-exports?q=session%3As-1"`) {
		t.Error("an audit log leads to the sign-in of its session, and to no export, since there is none")
	}
	if failed := s.page("viewer", "/login-attempts/"+ids[audit.KindLoginAttempt]); strings.Contains(failed, "Of the same session") {
		t.Error("an event without a session shows one")
	}
}
