package handlers

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/format"
	"github.com/auditadmin/auditadmin/web/templates"
)

// evidenceOf shows the place of an event in the ledger, whether it is what stands
// there, which is verified now, and how far everything was verified. A page that can be made at all is not kept back by it.
func (v *visit) evidenceOf(st *db.Stored) *templates.Evidence {
	place, err := v.server.Store.PlaceOf(v.Context(), st)
	problem, failed := v.server.Store.Check(v.Context(), st.Kind, st.ID)
	if err != nil && problem == nil || failed != nil {
		return nil
	}
	mono := func(text string) templates.Value {
		return templates.Value{Spans: []templates.Span{plain(text)}, Mono: true}
	}
	e := &templates.Evidence{
		Badge: templates.Badge{Text: "not verified yet", Icon: templates.IconInfo},
		Text:  "It has its place in the ledger; the server has not come to it yet.",
		Proof: &templates.Link{Text: "Download its proof", Href: eventPath(st.Kind, st.ID) + "/proof", Hint: "anybody can check it without this database: auditadmin prove check FILE"},
	}
	if err == nil {
		e.Rows = []templates.Detail{
			{Name: "Place", Value: templates.Value{Spans: []templates.Span{plain("entry #" + number(st.Seq) + " of " + number(place.Size))}}},
			{Name: "Leaf", Value: mono(place.Leaf)},
		}
	}
	if len(st.Damaged) > 0 {
		e.Badge = templates.Badge{Text: "does not hold", Tone: templates.Alarm, Icon: templates.IconBad}
		e.Text, e.Proof = "The row is not what the ledger committed to, so there is no proof of it; auditadmin verify names what differs.", nil
		return e
	}
	if problem != nil {
		e.Badge = templates.Badge{Text: "does not hold", Tone: templates.Alarm, Icon: templates.IconBad}
		e.Text, e.Proof = "This event is not what the ledger committed to: "+differs(problem)+". There is no proof of it; auditadmin verify looks at all the others.", nil
		return e
	}
	seen := v.server.Store.VerifiedUpTo(v.Context())
	switch {
	case seen.Verdict == nil:
	case !seen.Verdict.Holds():
		e.Badge = templates.Badge{Text: "does not hold", Tone: templates.Alarm, Icon: templates.IconBad}
		e.Text = "The evidence of this database does not hold everywhere; auditadmin verify names the places."
	case seen.UpTo >= st.Seq && seen.Since <= st.Seq:
		e.Badge = templates.Badge{Text: "verified", Tone: templates.Sure, Icon: templates.IconTick}
		e.Text = "Verified up to entry #" + number(seen.UpTo) + ", " + ago(seen.At, v.now) + "."
	case seen.UpTo >= st.Seq:
		e.Badge.Text = "checkpointed"
		e.Text = "Verified from entry #" + number(seen.Since) + " to #" + number(seen.UpTo) + ", " + ago(seen.At, v.now) + "; this one lies before that, under a signed checkpoint. auditadmin verify checks all."
	}
	return e
}

// differs says what is wrong with an event.
func differs(p *db.Problem) string {
	if len(p.Fields) == 0 {
		return p.Detail
	}
	return strings.Join(p.Fields, ", ") + ": " + p.Detail
}

// showProof hands out the proof of one event.
func (s *Server) showProof(kind audit.Kind) func(http.ResponseWriter, *visit) error {
	return func(w http.ResponseWriter, v *visit) error {
		id, err := v.pathID()
		if err != nil {
			return err
		}
		proof, err := s.Store.Proof(v.Context(), kind, id)
		if err != nil {
			return err
		}
		text := proof.Text()
		if v.Method == http.MethodGet {
			if err := s.Store.HandOut(v.Context(), v.actor(), kind, "the proof of "+kind.Singular()+" "+proof.ID); err != nil {
				return err
			}
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Content-Disposition", `attachment; filename="`+string(kind)+"-"+proof.ID+`.proof.json"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		if v.Method == http.MethodGet {
			_, err = w.Write(text)
		}
		return err
	}
}

// evidence streams everything that matches with its proofs. That is recorded like
// an export: its start before the first byte, its end after the last.
func (s *Server) evidence(kind audit.Kind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := s.visit(w, r)
		if err != nil {
			s.fail(w, v, err)
			return
		}
		f, sel, err := v.selection(kind)
		if err == nil {
			_, err = s.Store.Checkpoint(v.Context()) // what cannot be signed is told before anything is sent
		}
		if err == nil && r.Method == http.MethodGet {
			err = s.Store.HandOut(v.Context(), v.actor(), kind, "evidence of "+kind.Plural()+": "+f.Sentence())
		}
		if err != nil {
			s.fail(w, v, err)
			return
		}
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Content-Disposition", `attachment; filename="`+fileName(kind, "evidence.zip", v.now)+`"`)
		if r.Method == http.MethodHead {
			return
		}
		out := &meter{to: w, connection: http.NewResponseController(w)}
		bundle, err := format.WriteBundle(v.Context(), out, s.Store, sel, v.who.Name(), v.now)
		n := sent{rows: bundle.Events, bytes: out.written}
		if failed := s.recordEnd(v, f, "evidence", n, err); failed != nil {
			s.Log.ErrorContext(context.WithoutCancel(v.Context()), "evidence not recorded", "request_id", v.requestID(), "error", failed)
		}
		if err != nil {
			s.Log.WarnContext(v.Context(), "evidence broken off", "request_id", v.requestID(), "path", v.URL.Path, "error", err)
			panic(http.ErrAbortHandler)
		}
	}
}
