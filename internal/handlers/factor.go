package handlers

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/a-h/templ"
	"github.com/boombuler/barcode/qr"

	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/web/templates"
)

// showFactor offers a second factor. Nothing is stored before it is accepted.
func (s *Server) showFactor(w http.ResponseWriter, v *visit) error {
	if v.who.Account.HasFactor() {
		http.Redirect(w, v.Request, "/account#second-factor", http.StatusSeeOther)
		return nil
	}
	offer, err := s.gate.NewOffer(v.Request)
	if err != nil {
		return err
	}
	page, err := s.factorPage(v, offer, "")
	if err != nil {
		return err
	}
	return render(w, v, http.StatusOK, page)
}

func (s *Server) factorPage(v *visit, offer *authz.Offer, problem string) (templ.Component, error) {
	page := templates.FactorPage{Action: "/account/second-factor", Name: v.who.Name(), Offer: offer.Sealed, Error: problem}
	for i := 0; i < len(offer.Secret); i += 4 {
		page.Secret += " " + offer.Secret[i:min(i+4, len(offer.Secret))]
	}
	page.Secret = page.Secret[1:]
	var err error
	if page.QR, err = drawQR(offer.URL); err != nil {
		return nil, err
	}
	page.Layout = v.layout("Set up your second factor")
	if s.RequireFactor && v.who.Role() == db.RoleSuperuser {
		// Everything else is shut, and the page does not lead there.
		page.Required, page.Logout = true, "/logout"
		page.Account, page.HelpHref, page.HealthHref = nil, "", ""
	}
	return templates.SetUpFactor(page), nil
}

// drawQR draws a text as a code for cameras, with the quiet zone they need.
func drawQR(text string) (templates.QR, error) {
	const quiet = 4
	code, err := qr.Encode(text, qr.M, qr.Unicode)
	if err != nil {
		return templates.QR{}, err
	}
	size := code.Bounds().Dx()
	var path strings.Builder
	for y := range size {
		for x := 0; x < size; x++ {
			run := 0
			for x+run < size {
				if r, _, _, _ := code.At(x+run, y).RGBA(); r != 0 {
					break
				}
				run++
			}
			if run > 0 {
				n := strconv.Itoa(run)
				path.WriteString("M" + strconv.Itoa(x+quiet) + " " + strconv.Itoa(y+quiet) + "h" + n + "v1h-" + n + "z")
				x += run
			}
		}
	}
	return templates.QR{Size: size + 2*quiet, Path: path.String()}, nil
}

// acceptFactor sets up the second factor that was offered, and shows the recovery
// codes, this once: the answer is the page itself and no redirection, so that they
// are nowhere else.
func (s *Server) acceptFactor(w http.ResponseWriter, v *visit) error {
	if err := readForm(w, v); err != nil {
		return err
	}
	sealed := v.PostFormValue("offer")
	codes, err := s.gate.AcceptOffer(w, v.Request, sealed, v.PostFormValue("code"))
	if err == nil {
		return s.showRecovery(w, v, "Your second factor is on", codes)
	}
	status, problem := http.StatusUnprocessableEntity, sentenceCase(authz.ErrCode.Error())+"."
	var many *authz.TooManyError
	switch {
	case errors.As(err, &many):
		w.Header().Set("Retry-After", strconv.Itoa(many.Seconds()))
		status, problem = http.StatusTooManyRequests, sentenceCase(many.Error())+"."
	case !errors.Is(err, authz.ErrCode):
		return err
	}
	offer, err := s.gate.Reoffer(v.Request, sealed)
	if err != nil {
		return err
	}
	page, err := s.factorPage(v, offer, problem)
	if err != nil {
		return err
	}
	return render(w, v, status, page)
}

// newRecovery replaces the recovery codes and shows the new ones, this once.
func (s *Server) newRecovery(w http.ResponseWriter, v *visit) error {
	codes, err := s.gate.NewRecoveryCodes(v.Request)
	if err != nil {
		return err
	}
	return s.showRecovery(w, v, "Your new recovery codes", codes)
}

func (s *Server) showRecovery(w http.ResponseWriter, v *visit, headline string, codes []string) error {
	return render(w, v, http.StatusOK, templates.Recovery(templates.RecoveryPage{Layout: v.layout(headline), Headline: headline, Codes: codes,
		Next: templates.Link{Text: "I have put them away", Href: "/account"}}))
}

// removeFactor turns off the reader's own second factor.
func (s *Server) removeFactor(w http.ResponseWriter, v *visit) error {
	if err := s.gate.RemoveFactor(w, v.Request); err != nil {
		return err
	}
	s.leaveFlash(w, v.Request, done{what: "factor-removed"})
	http.Redirect(w, v.Request, "/account", http.StatusSeeOther)
	return nil
}
