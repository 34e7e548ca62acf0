"""A certificate authority of the test's own and certificates by it, made with openssl(1)."""
import subprocess


class Authority:
    def __init__(self, directory):
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.cert, self.key = directory / "ca.pem", directory / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=test authority", "-keyout", self.key, "-out", self.cert)

    def issue(self, name, *san, subject=None, days=2):
        """(certificate, key) for the names, "DNS:…" or "IP:…", "URI:…", "email:…"; none: a subject alone. With
        days=-1 it has expired."""
        cert, key, csr, ext = (self.directory / f"{name}.{e}" for e in ("pem", "key", "csr", "ext"))
        ext.write_text(f"subjectAltName={','.join(san)}\n" if san else "keyUsage=digitalSignature\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject or f"/CN={name}",
                "-keyout", key, "-out", csr)
        openssl("x509", "-req", "-in", csr, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", ext, "-out", cert)
        return cert, key


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)
