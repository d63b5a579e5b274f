package authz

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/internal/db"
)

// tokenPrefix begins every token, so that scanners for leaked secrets know one.
const tokenPrefix = "aat_"

// errToken is returned for an Authorization header that opens nothing.
var errToken = errors.New("the token is unknown, has expired or was revoked")

// NewToken returns a new secret, to be shown once, and what is stored of it.
func NewToken() (secret string, hash []byte) {
	secret = tokenPrefix + newSecret()
	return secret, hashID(secret)
}

// bearer returns the token of a request, and whether it tries to show one.
func bearer(r *http.Request) (secret string, given bool) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return "", false
	}
	scheme, secret, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", true
	}
	return strings.TrimSpace(secret), true
}

// token returns the token that secret opens. It is found by its hash, so that
// no comparison of secrets can be timed.
func (g *Gate) token(ctx context.Context, secret string) (*db.Token, error) {
	if len(secret) != len(tokenPrefix)+idLength || !strings.HasPrefix(secret, tokenPrefix) {
		return nil, errToken
	}
	t, err := g.store.Token(ctx, hashID(secret))
	if errors.Is(err, db.ErrNotFound) {
		return nil, errToken
	}
	if err != nil {
		return nil, err
	}
	now := g.store.Now()
	if !t.RevokedAt.IsZero() || expired(t, now) {
		return nil, errToken
	}
	if now.Sub(t.UsedAt) >= touchEvery {
		if err := g.store.TouchToken(ctx, t.ID); err != nil {
			g.log.WarnContext(ctx, "note that a token is in use", "token", t.ID, "error", err)
		}
	}
	return t, nil
}

func expired(t *db.Token, now time.Time) bool {
	return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt)
}
