package main

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"gorm.io/gorm"

	"github.com/auditadmin/auditadmin/audit"
)

// Nothing in this file records a change: the plugin sees them. What it cannot
// know is said here: that somebody looked, took data out, and why.

func (s *shop) showOrders(w http.ResponseWriter, r *http.Request) {
	db := s.db.WithContext(r.Context())
	page := struct {
		Who      *Staff
		Orders   []Order
		Products []Product
	}{Who: staffFrom(r.Context())}
	if fails(w, db.Order("id DESC").Limit(50).Find(&page.Orders).Error) || fails(w, db.Find(&page.Products).Error) {
		return
	}
	show(w, r, ordersPage, page)
}

// createOrder is one transaction: an order that fails leaves no event.
func (s *shop) createOrder(w http.ResponseWriter, r *http.Request) {
	quantity, err := strconv.Atoi(r.PostFormValue("quantity"))
	if err != nil || quantity < 1 {
		http.Error(w, "How many?", http.StatusUnprocessableEntity)
		return
	}
	order := Order{Customer: r.PostFormValue("customer"), Status: "new", Note: r.PostFormValue("note")}
	err = s.db.WithContext(r.Context()).Transaction(func(tx *gorm.DB) error {
		var product Product
		if err := tx.First(&product, r.PostFormValue("product")).Error; err != nil {
			return err
		}
		taken := tx.Model(&product).Where("stock >= ?", quantity).Update("stock", gorm.Expr("stock - ?", quantity))
		if taken.Error != nil || taken.RowsAffected == 0 {
			return fmt.Errorf("there are no %d %s left (%w)", quantity, product.Name, gorm.ErrInvalidData)
		}
		order.Total = quantity * product.Price
		order.Lines = []OrderLine{{ProductID: product.ID, Quantity: quantity, Price: product.Price}}
		return tx.Create(&order).Error
	})
	if fails(w, err) {
		return
	}
	http.Redirect(w, r, fmt.Sprintf("/orders/%d", order.ID), http.StatusSeeOther)
}

func (s *shop) order(w http.ResponseWriter, r *http.Request) (order Order, found bool) {
	return order, !fails(w, s.db.WithContext(r.Context()).Preload("Lines").First(&order, "id = ?", chi.URLParam(r, "id")).Error)
}

func (s *shop) showOrder(w http.ResponseWriter, r *http.Request) {
	if order, found := s.order(w, r); found {
		show(w, r, orderPage, order)
	}
}

// viewedOrder says what somebody looked at who was shown an order.
func viewedOrder(r *http.Request) audit.Object {
	id := chi.URLParam(r, "id")
	return audit.Object{Type: "shop.order", ID: id, Repr: "Order " + id}
}

// setStatus says why, which goes into the audit log of the change.
func (s *shop) setStatus(w http.ResponseWriter, r *http.Request) {
	order, found := s.order(w, r)
	if !found {
		return
	}
	ctx := audit.WithReason(r.Context(), r.PostFormValue("reason"))
	if fails(w, s.db.WithContext(ctx).Model(&order).Updates(map[string]any{"status": r.PostFormValue("status"), "note": r.PostFormValue("note")}).Error) {
		return
	}
	http.Redirect(w, r, fmt.Sprintf("/orders/%d", order.ID), http.StatusSeeOther)
}

func (s *shop) deleteOrder(w http.ResponseWriter, r *http.Request) {
	order, found := s.order(w, r)
	if !found || fails(w, s.db.WithContext(audit.WithReason(r.Context(), r.PostFormValue("reason"))).Delete(&order).Error) {
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// exportOrders records what leaves the shop, and whether all of it did.
func (s *shop) exportOrders(w http.ResponseWriter, r *http.Request) {
	status := r.URL.Query().Get("status")
	find := s.db.WithContext(r.Context()).Order("id")
	if status != "" {
		find = find.Where("status = ?", status)
	}
	var orders []Order
	if fails(w, find.Find(&orders).Error) {
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	export := s.recorder.Export(r.Context(), w, audit.DataExport{ExportType: "Orders", FileFormat: "CSV", FiltersApplied: map[string]string{"status": status}})
	defer export.Close()
	rows := csv.NewWriter(export)
	_ = rows.Write([]string{"id", "customer", "status", "total"})
	for _, o := range orders {
		_ = rows.Write([]string{strconv.FormatUint(uint64(o.ID), 10), o.Customer, o.Status, money(o.Total)})
		export.Rows(1)
	}
	rows.Flush()
	s.note(r.Context(), export.Finish())
}

// checkStock logs an error as any program does; the audit has it too.
func (s *shop) checkStock(w http.ResponseWriter, r *http.Request) {
	s.log.ErrorContext(r.Context(), "the warehouse does not answer", "code", "WAREHOUSE_TIMEOUT", "warehouse", "north", "seconds", 30)
	http.Error(w, "The warehouse does not answer.", http.StatusBadGateway)
}

// slow takes longer than a page may.
func (s *shop) slow(w http.ResponseWriter, _ *http.Request) {
	time.Sleep(600 * time.Millisecond)
	fmt.Fprintln(w, "That took a while.")
}

// broken panics, as programs do.
func (s *shop) broken(w http.ResponseWriter, _ *http.Request) {
	var nobody *Staff
	fmt.Fprintln(w, nobody.Name)
}

// fails answers with an error, if there is one.
func fails(w http.ResponseWriter, err error) bool {
	if err == nil {
		return false
	}
	http.Error(w, err.Error(), http.StatusUnprocessableEntity)
	return true
}
