package main

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/auditadmin/auditadmin/audit"
)

func (s *shop) showAdmin(w http.ResponseWriter, r *http.Request) {
	db := s.db.WithContext(r.Context())
	var page struct {
		Staff    []Staff
		Products []Product
	}
	if fails(w, db.Find(&page.Staff).Error) || fails(w, db.Find(&page.Products).Error) {
		return
	}
	show(w, r, adminPage, page)
}

// raisePrices is raw SQL over many rows: each product has its event all the same.
func (s *shop) raisePrices(w http.ResponseWriter, r *http.Request) {
	ctx := audit.WithReason(r.Context(), r.PostFormValue("reason"))
	if fails(w, s.db.WithContext(ctx).Exec("UPDATE products SET price = price + price * ? / 100", r.PostFormValue("percent")).Error) {
		return
	}
	http.Redirect(w, r, "/admin", http.StatusSeeOther)
}

// changeStaff changes a role or a password. A new role is a change of a row, and
// also a deed of its own name that somebody may look for.
func (s *shop) changeStaff(w http.ResponseWriter, r *http.Request) {
	db := s.db.WithContext(r.Context())
	var who Staff
	if fails(w, db.First(&who, "id = ?", chi.URLParam(r, "id")).Error) {
		return
	}
	before := who
	if role := r.PostFormValue("role"); role != "" {
		who.Role = role
	}
	if password := r.PostFormValue("password"); password != "" {
		hash, err := hashPassword(password)
		if fails(w, err) {
			return
		}
		who.PasswordHash = hash
	}
	if fails(w, db.Save(&who).Error) {
		return
	}
	if who.Role != before.Role {
		s.note(r.Context(), s.recorder.LogAuditEvent(r.Context(), audit.AuditLog{Action: "PERMISSION_CHANGE", ContentType: "shop.staff",
			ObjectID: chi.URLParam(r, "id"), ObjectRepr: who.Name, Changes: audit.Changes{"role": {Old: before.Role, New: who.Role}},
			Reason: r.PostFormValue("reason")}))
	}
	http.Redirect(w, r, "/admin", http.StatusSeeOther)
}
