package main

import (
	"context"
	"fmt"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/internal/db"
)

// verify checks the whole database against its evidence, by one worker and by one for
// each processor.
func (b *bench) verify(ctx context.Context) error {
	b.stop()
	store, err := db.Open(ctx, b.file, db.Options{Schema: auditadmin.Schema, MustExist: true})
	if err != nil {
		return err
	}
	defer store.Close()
	for _, by := range []struct {
		name, goal string
		workers    int
	}{
		{"verification by one worker", "150,000", 1},
		{"verification by one for each processor", "250,000", 0},
	} {
		v, err := store.Verify(ctx, db.VerifyOptions{Workers: by.workers})
		if err != nil {
			return err
		}
		if !v.Holds() {
			return fmt.Errorf("verify %s: %s", b.file, v.Problems[0])
		}
		b.run.add(figure{Name: by.name, Unit: "events/s", Goal: by.goal, Value: float64(v.Events) / v.Took.Seconds()})
	}
	return nil
}
