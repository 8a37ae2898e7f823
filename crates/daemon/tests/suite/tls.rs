//! Certificates for tests, made by openssl: an authority, a server for 127.0.0.1, a client, and a client of another authority.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A folder of PEM files.
pub(crate) struct Certificates(PathBuf);

impl Certificates {
    pub(crate) fn make(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let made = Self(folder.to_owned());
        for authority in ["ca", "other"] {
            made.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={authority} \
                 -addext basicConstraints=critical,CA:TRUE -keyout {authority}-key.pem -out {authority}.pem"
            ));
        }
        for (name, authority, purpose) in [
            ("server", "ca", "serverAuth"),
            ("client", "ca", "clientAuth"),
            ("stranger", "other", "clientAuth"),
        ] {
            fs::write(
                folder.join("extensions"),
                format!("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage={purpose}\n"),
            )
            .unwrap();
            made.openssl(&format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={name} -keyout {name}-key.pem -out {name}.csr"
            ));
            made.openssl(&format!(
                "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}-key.pem -CAcreateserial -days 2 \
                 -extfile extensions -out {name}.pem"
            ));
        }
        made
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    fn openssl(&self, arguments: &str) {
        let output =
            Command::new("openssl").current_dir(&self.0).args(arguments.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
