//! Pulling.

use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;

use super::Session;
use crate::{
    error::Error,
    report::{Event, Phase, Reporter},
};

pub(super) async fn step(
    session: &Session<'_>,
    service: &str,
    image: &str,
    present: bool,
) -> Result<Option<(&'static str, Phase)>, Error> {
    let service = session.project.and_then(|project| project.services.get(service));
    let platform = service.and_then(|service| service.platform.clone());
    match pull(session.docker, image, platform, session.reporter).await {
        Ok(()) => Ok(None),
        // What can be built need not be in any registry.
        Err(_) if service.is_some_and(|service| service.build.is_some()) => {
            let service = service.map(|service| service.name.clone()).unwrap_or_default();
            crate::build::service(session, &service).await.map(|()| Some(("Built", Phase::Done)))
        }
        Err(error) if present => {
            session.reporter.warn(&format!("{error}; the image that is here is used"));
            Ok(Some(("Not pulled", Phase::Skipped)))
        }
        Err(error) => Err(error),
    }
}

/// Pulls an image and tells of its progress.
///
/// # Errors
/// The engine's.
pub async fn pull(
    docker: &bollard::Docker,
    image: &str,
    platform: Option<String>,
    reporter: &dyn Reporter,
) -> Result<(), Error> {
    let tagged = image.contains('@') || image.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let from = if tagged { image.to_owned() } else { format!("{image}:latest") };
    let options = CreateImageOptions {
        from_image: Some(from),
        platform: platform.unwrap_or_default(),
        ..CreateImageOptions::default()
    };
    let mut stream = std::pin::pin!(docker.create_image(Some(options), None, None));
    while let Some(info) = stream.next().await {
        let info = info.map_err(Error::engine(format!("pull image {image}")))?;
        if let Some(message) = info.error_detail.and_then(|detail| detail.message) {
            return Err(Error::invalid(format!("pull image {image}: {message}")));
        }
        let Some(status) = info.status.filter(|_| reporter.wants_ticks()) else { continue };
        let done = info.progress_detail.and_then(|p| Some((p.current?, p.total.filter(|total| *total > 0)?)));
        let amount = done
            .map(|(now, all)| format!(" {}/{}", crate::units::human_size(now), crate::units::human_size(all)))
            .unwrap_or_default();
        let detail = format!("{} {status}{amount}", info.id.unwrap_or_default()).trim().to_owned();
        reporter.event(Event {
            resource: format!("Image {image}"),
            status: "Pulling".into(),
            phase: Phase::Working,
            detail,
        });
    }
    Ok(())
}
