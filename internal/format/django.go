package format

import "context"

func readDjango(_ context.Context, in *Input, o Options, emit func(Record) error) error { return nil }
func readCloudTrail(_ context.Context, in *Input, o Options, emit func(Record) error) error {
	return nil
}
