//! Objects in a cloud object store, through the crate `object_store`.
//!
//! Turns blocking calls into requests with a time limit. Its own thread drives the connections; callers wait
//! for their requests. An object is created by a conditional put. Credentials and endpoints come from the
//! environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`).
//!
//! Failed requests are retried here for a bounded time. So a put may meet its own first attempt and report
//! that the object exists; callers that must know read it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{
    ClientConfigKey, Error, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, PutOptions,
    PutPayload, RetryConfig,
};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use url::Url;

use super::{DurableError, Put, Store, url_of};

/// Longest request, including the upload of the largest object.
const REQUEST: &str = "60 s";
/// Retries of a request, and the time in which they start. Callers have bounds of their own.
const RETRIES: usize = 4;
const RETRY: Duration = Duration::from_secs(15);

pub(super) struct RemoteStore {
    store: Arc<dyn ObjectStore>,
    base: Path,
    url: String,
    requests: Handle,
    /// Dropping it ends the thread.
    _life: oneshot::Sender<()>,
}

impl RemoteStore {
    pub(super) fn open(url: &Url) -> Result<Self, DurableError> {
        let wrong = |error: &dyn std::fmt::Display, help| DurableError::Url {
            url: url.to_string(),
            why: error.to_string(),
            help,
        };
        let environment =
            "credentials and endpoints are taken from the environment: AWS_*, GOOGLE_* or AZURE_*";
        let (scheme, base) = ObjectStoreScheme::parse(url)
            .map_err(|error| wrong(&error, "write it like s3://bucket/path"))?;
        // The TLS library of the cluster's own connections; a provider may be installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let retry =
            RetryConfig { max_retries: RETRIES, retry_timeout: RETRY, ..RetryConfig::default() };
        // The builders share methods, but no trait.
        macro_rules! build {
            ($builder:ty, $key:ident) => {{
                // Set one option only: `with_client_options` would replace those of the environment.
                let timeout = $key::Client(ClientConfigKey::Timeout);
                let builder = <$builder>::from_env().with_config(timeout, REQUEST);
                let store = builder.with_url(url.as_str()).with_retry(retry).build();
                store.map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
            }};
        }
        let built = match scheme {
            ObjectStoreScheme::AmazonS3 => build!(AmazonS3Builder, AmazonS3ConfigKey),
            ObjectStoreScheme::GoogleCloudStorage => {
                build!(GoogleCloudStorageBuilder, GoogleConfigKey)
            }
            ObjectStoreScheme::MicrosoftAzure => build!(MicrosoftAzureBuilder, AzureConfigKey),
            _ => {
                let why = "a plain web server cannot create an object only if it is absent";
                return Err(wrong(&why, "use s3://, gs:// or az://"));
            }
        };
        let store = built.map_err(|error| wrong(&error, environment))?;
        Self::of(store, base, url.as_str())
    }

    /// Wraps an opened store.
    pub(super) fn of(
        store: Arc<dyn ObjectStore>,
        base: Path,
        url: &str,
    ) -> Result<Self, DurableError> {
        let thread = || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let requests = runtime.handle().clone();
            let (life, ended) = oneshot::channel::<()>();
            let thread = std::thread::Builder::new().name("dstream-objects".to_owned());
            thread.spawn(move || {
                // An error means that the sender is dropped, which ends the thread.
                let _ = runtime.block_on(ended);
            })?;
            Ok((requests, life))
        };
        let (requests, life) = thread().map_err(|error: std::io::Error| DurableError::Failed {
            object: url.to_owned(),
            doing: "start the thread of its requests",
            error: Arc::new(error),
        })?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { store, base, url, requests, _life: life })
    }

    fn path(&self, name: &str) -> Path {
        self.base.parts().chain(Path::from(name).parts()).collect()
    }

    fn failed(&self, name: &str, doing: &'static str, error: Error) -> DurableError {
        let object = url_of(&self.url, name);
        match error {
            Error::NotFound { .. } => DurableError::NotFound { object },
            error => DurableError::Failed { object, doing, error: whole(&error).into() },
        }
    }

    async fn names(&self, dir: Path, names: &mut Vec<String>) -> Result<(), Error> {
        let mut dirs = vec![dir];
        while let Some(dir) = dirs.pop() {
            let found = self.store.list_with_delimiter(Some(&dir)).await?;
            dirs.extend(found.common_prefixes);
            for object in found.objects {
                if let Some(parts) = object.location.prefix_match(&self.base) {
                    let name =
                        parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/");
                    // Objects with invalid names are not ours.
                    names.extend(super::check(&name).is_ok().then_some(name));
                }
            }
        }
        Ok(())
    }
}

/// An error with its causes: only they tell why a request failed.
fn whole(error: &Error) -> Box<dyn std::error::Error + Send + Sync> {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !said.contains(&more) {
            said = format!("{said}: {more}");
        }
        cause = error.source();
    }
    said.into()
}

impl Store for RemoteStore {
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<Put, DurableError> {
        // The client may resend it after this call has returned, so it needs its own copy.
        let payload: PutPayload = parts.iter().map(|part| Bytes::copy_from_slice(part)).collect();
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.requests.block_on(self.store.put_opts(&self.path(name), payload, options)) {
            Ok(_) => Ok(Put::Created),
            Err(Error::AlreadyExists { .. }) => Ok(Put::Exists),
            Err(error) => Err(self.failed(name, "write it", error)),
        }
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, DurableError> {
        let path = self.path(name);
        let bytes = async { self.store.get(&path).await?.bytes().await };
        let bytes = self.requests.block_on(bytes);
        Ok(bytes.map_err(|error| self.failed(name, "read it", error))?.into())
    }

    fn exists(&self, name: &str) -> Result<bool, DurableError> {
        match self.requests.block_on(self.store.head(&self.path(name))) {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed(name, "look for it", error)),
        }
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DurableError> {
        let mut names = Vec::new();
        let listed = self.requests.block_on(self.names(self.path(dir), &mut names));
        listed.map_err(|error| self.failed(dir, "list what is in it", error))?;
        Ok(names)
    }

    fn remove(&self, name: &str) -> Result<(), DurableError> {
        match self.requests.block_on(self.store.delete(&self.path(name))) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(name, "remove it", error)),
        }
    }

    fn make(&self, _: &str) -> Result<(), DurableError> {
        // No directories here.
        Ok(())
    }

    fn url(&self) -> &str {
        &self.url
    }
}
