package main

import (
	"fmt"
	"html/template"
	"net/http"
)

func money(cents int) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }

func page(body string) *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{"money": money}).Parse(`<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Tea shop</title>
<style>body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}td,th{padding:.2rem .8rem .2rem 0;text-align:left}form{margin:.5rem 0}</style>
<h1><a href="/">Tea shop</a></h1>` + body))
}

var signInPage = page(`<form method="post"><p>{{.}}</p><label>Name <input name="name" autofocus></label>
<label>Password <input name="password" type="password"></label> <button>Sign in</button></form>`)

var ordersPage = page(`<p>{{.Who.Name}}, {{.Who.Role}} · <a href="/orders.csv">Export</a> · <a href="/admin">Administration</a> ·
<a href="/slow">A slow page</a> · <a href="/broken">A broken page</a> · <a href="/stock">Ask the warehouse</a></p>
<form method="post" action="/sign-out"><button>Sign out</button></form>
<form method="post" action="/orders"><input name="customer" placeholder="Customer" required> <input name="quantity" value="1" size="3">
<select name="product">{{range .Products}}<option value="{{.ID}}">{{.Name}} ({{.Stock}})</option>{{end}}</select>
<input name="note" placeholder="Note"> <button>Order</button></form>
<table>{{range .Orders}}<tr><td><a href="/orders/{{.ID}}">Order {{.ID}}</a><td>{{.Customer}}<td>{{.Status}}<td>{{money .Total}}{{end}}</table>`)

var orderPage = page(`<h2>Order {{.ID}} of {{.Customer}}</h2><p>{{.Status}}, {{money .Total}}. {{.Note}}</p>
<form method="post" action="/orders/{{.ID}}/status"><select name="status"><option>paid<option>sent<option>refunded</select>
<input name="note" value="{{.Note}}" placeholder="Note"> <input name="reason" placeholder="Why"> <button>Change</button></form>
<form method="post" action="/orders/{{.ID}}/delete"><input name="reason" placeholder="Why"> <button>Delete</button></form>`)

var adminPage = page(`<table>{{range .Staff}}<tr><td>{{.Name}}<td>{{.Role}}<td><form method="post" action="/admin/staff/{{.ID}}">
<select name="role"><option>clerk<option>manager</select> <input name="password" placeholder="New password"> <button>Change</button></form>{{end}}</table>
<table>{{range .Products}}<tr><td>{{.Name}}<td>{{money .Price}}<td>{{.Stock}}{{end}}</table>
<form method="post" action="/admin/prices">Raise all prices by <input name="percent" value="2" size="3"> % <input name="reason" placeholder="Why"> <button>Raise</button></form>`)

func show(w http.ResponseWriter, _ *http.Request, t *template.Template, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = t.Execute(w, data) // who is gone does not need to be told
}
