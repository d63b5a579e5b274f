package audit

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// errorSharingViolation is what Windows says of a file that is open elsewhere.
const errorSharingViolation = syscall.Errno(32)

// lockDir takes a directory for this recorder alone, by a file that nobody else
// can open. The lock ends with the process, however that ends.
func lockDir(dir string) (io.Closer, error) {
	path := filepath.Join(dir, "lock")
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errorSharingViolation) {
		return nil, ErrSpoolBusy
	} else if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(h), path), nil
}

// syncDir does nothing: Windows keeps the names of files durable by itself.
func syncDir(string) error { return nil }
