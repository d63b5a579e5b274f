package authz

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/auditadmin/auditadmin/internal/db"
)

// ErrCode is returned for a code that opens nothing: it is wrong, too old, or
// was used before. Which of them it was is recorded and never answered.
var ErrCode = errors.New("this code is not the present one, or was used already; wait for the next one")

// Offer is a second factor that somebody may set up.
type Offer struct {
	Secret string // for typing into an app
	URL    string // for the picture that apps read
	// Sealed is the offer itself, which the form that accepts it sends back. It is
	// good for this account in this session alone.
	Sealed string
}

// NewOffer makes the offer of a second factor for the account that makes a
// request. Nothing is stored: an offer that is not accepted never was.
func (g *Gate) NewOffer(r *http.Request) (*Offer, error) {
	secret := make([]byte, secretBytes)
	rand.Read(secret)
	return g.offer(r, secret)
}

// Reoffer returns an offer again, after a code for it was wrong: the app may
// have it already. One that is not good here is replaced by a new one.
func (g *Gate) Reoffer(r *http.Request, sealed string) (*Offer, error) {
	secret, err := g.sealer.open(sealed, offerPurpose(From(r.Context())))
	if err != nil {
		return g.NewOffer(r)
	}
	return g.offer(r, secret)
}

func (g *Gate) offer(r *http.Request, secret []byte) (*Offer, error) {
	who := From(r.Context())
	if who.Account == nil {
		return nil, errors.New("offer a second factor: nobody is signed in")
	}
	sealed, err := g.sealer.seal(secret, offerPurpose(who))
	if err != nil {
		return nil, err
	}
	return &Offer{Secret: secretText.EncodeToString(secret), URL: codeURL(secret, "auditadmin", who.Account.Name), Sealed: sealed}, nil
}

func offerPurpose(who Identity) string {
	if who.Account == nil || who.Session == nil {
		return "offer"
	}
	return fmt.Sprintf("offer/%d/%s", who.Account.ID, who.Session.PublicID)
}

// factorPurpose binds a sealed secret to its account, so that it opens nothing in
// the row of another one.
func factorPurpose(id int64) string { return "factor/" + strconv.FormatInt(id, 10) }

// AcceptOffer sets up the second factor of an offer for the account that makes
// the request, if code shows that an app has it, and returns the recovery codes,
// which nobody can see a second time. The account's other sessions end, this one
// goes on under a new id. The error is ErrCode, a *TooManyError, or wraps
// db.ErrConflict or ErrSeal; then nothing has changed.
func (g *Gate) AcceptOffer(w http.ResponseWriter, r *http.Request, sealed, code string) (recovery []string, err error) {
	who := From(r.Context())
	secret, err := g.sealer.open(sealed, offerPurpose(who))
	if err != nil {
		return nil, ErrCode // made for another session, or in none
	}
	now := g.store.Now()
	if err := g.chargeCode(r.Context(), who.Account.ID); err != nil {
		return nil, err
	}
	digits, _ := typed(code)
	counter, right := counterOf(secret, digits, now)
	if !right {
		return nil, ErrCode
	}
	if err := g.store.ClearThrottle(r.Context(), db.CodeKey(who.Account.ID)); err != nil {
		return nil, err
	}
	kept, err := g.sealer.seal(secret, factorPurpose(who.Account.ID))
	if err != nil {
		return nil, err
	}
	recovery, hashes := newRecoveryCodes()
	if err := g.store.SetFactor(r.Context(), ActorOf(r), who.Account.ID, kept, counter, hashes); err != nil {
		return nil, err
	}
	return recovery, g.Renew(w, r)
}

// NewRecoveryCodes replaces the recovery codes of the account that makes the
// request and returns the new ones, which nobody can see a second time.
func (g *Gate) NewRecoveryCodes(r *http.Request) ([]string, error) {
	recovery, hashes := newRecoveryCodes()
	return recovery, g.store.SetRecoveryCodes(r.Context(), ActorOf(r), From(r.Context()).Account.ID, hashes)
}

// RemoveFactor turns off the second factor of the account that makes the
// request. Its other sessions end, this one goes on under a new id.
func (g *Gate) RemoveFactor(w http.ResponseWriter, r *http.Request) error {
	a := From(r.Context()).Account
	if !a.HasFactor() {
		return nil
	}
	if err := g.store.RemoveFactor(r.Context(), ActorOf(r), a.ID); err != nil {
		return err
	}
	return g.Renew(w, r)
}

// The ways in which a second factor was shown, as sign-ins record them.
const (
	byCode     = "code"
	byRecovery = "recovery code"
)

// checkCode finds out whether text is a code of an account's second factor that
// was never used, and uses it up. how says which kind of code it was, and is ""
// where it opens nothing; reason says why, for the record. The error is a
// *TooManyError, wraps ErrSeal, or is one of the database.
func (g *Gate) checkCode(ctx context.Context, a *db.Account, text string) (how, reason string, err error) {
	if err := g.chargeCode(ctx, a.ID); err != nil {
		return "", "", err
	}
	digits, recovery := typed(text)
	if recovery != "" {
		used, err := g.store.UseRecoveryCode(ctx, a.ID, hashID(recovery))
		if err != nil || !used {
			return "", "wrong or used recovery code", err
		}
		return byRecovery, "", nil
	}
	secret, err := g.sealer.open(a.CodeSecret, factorPurpose(a.ID))
	if err != nil {
		return "", "", err
	}
	counter, right := counterOf(secret, digits, g.store.Now())
	if !right {
		return "", "wrong code", nil
	}
	fresh, err := g.store.AcceptCode(ctx, a.ID, a.CodeSecret, counter)
	if err != nil || !fresh {
		return "", "a code that was used before", err
	}
	return byCode, "", nil
}

// chargeCode counts a try of a code before it is made; the error is a
// *TooManyError where it has to wait.
func (g *Gate) chargeCode(ctx context.Context, id int64) error {
	return g.charge(ctx, db.CodeKey(id))
}

func (g *Gate) charge(ctx context.Context, key string) error {
	wait, err := g.throttle.charge(ctx, key, g.store.Now())
	if err == nil && wait > 0 {
		return &TooManyError{wait}
	}
	return err
}

// lacksFactor reports whether an account may do nothing but set up the second
// factor it has to have.
func (g *Gate) lacksFactor(a *db.Account) bool {
	return g.requireFactor && a != nil && a.Role == db.RoleSuperuser && !a.HasFactor()
}
