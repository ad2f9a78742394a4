//! `system df`

use api_types::{ContainerSummary, DiskUsage, ImageSummary, Volume};

use crate::args::{Action, Arity, Command, FORMAT, Flag, Parsed};
use crate::cli::{Cli, print};
use crate::connect::Request;
use crate::error::Error;
use crate::format::table::{Column, Format, Layout, text};
use crate::format::units::human_size;
use crate::{container, image, volume};

pub static COMMAND: Command = Command {
    usage: "[OPTIONS]",
    about: "Show how much disk is used",
    arity: Arity::None,
    interspersed: true,
    flags: &[&[FORMAT, Flag::bool("verbose", "Show each image, container and volume").short('v')]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

const TABLE: &str = r"{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
const IMAGES: &str = r"{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
const CONTAINERS: &str = r"{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
const VOLUMES: &str = r"{{.Name}}\t{{.Links}}\t{{.Size}}";

/// All objects of one kind together.
struct Row {
    kind: &'static str,
    total: usize,
    active: usize,
    size: i64,
    reclaimable: i64,
    /// Whether the share that could be freed is shown.
    percent: bool,
}

static COLUMNS: &[Column<Row>] = &[
    text("Type", "TYPE", |row| row.kind.to_owned()),
    text("TotalCount", "TOTAL", |row| row.total.to_string()),
    text("Active", "ACTIVE", |row| row.active.to_string()),
    text("Size", "SIZE", |row| human_size(row.size as f64)),
    text("Reclaimable", "RECLAIMABLE", |row| {
        let size = human_size(row.reclaimable as f64);
        match row.size > 0 && row.percent {
            true => format!("{size} ({}%)", row.reclaimable * 100 / row.size),
            false => size,
        }
    }),
];

fn images(images: &[ImageSummary], layers: i64) -> Row {
    // What only unused images have can be freed; shared layers stay.
    let used: i64 = images
        .iter()
        .filter(|image| image.containers != 0 && image.size != -1 && image.shared_size != -1)
        .map(|image| image.size - image.shared_size)
        .sum();
    Row {
        kind: "Images",
        total: images.len(),
        active: images.iter().filter(|image| image.containers > 0).count(),
        size: layers,
        reclaimable: (layers - used).max(0),
        percent: true,
    }
}

fn is_active(container: &ContainerSummary) -> bool {
    ["running", "paused", "restarting"].contains(&container.state.as_str())
}

fn containers(containers: &[ContainerSummary]) -> Row {
    let sum = |filter: fn(&ContainerSummary) -> bool| {
        containers.iter().filter(|container| filter(container)).map(|container| container.size_rw).sum()
    };
    Row {
        kind: "Containers",
        total: containers.len(),
        active: containers.iter().filter(|container| is_active(container)).count(),
        size: sum(|_| true),
        reclaimable: sum(|container| !is_active(container)),
        percent: true,
    }
}

fn volumes(volumes: &[Volume]) -> Row {
    let usage =
        || volumes.iter().filter_map(|volume| volume.usage_data.as_ref()).filter(|usage| usage.size != -1);
    Row {
        kind: "Local Volumes",
        total: volumes.len(),
        active: volumes
            .iter()
            .filter(|v| v.usage_data.as_ref().is_some_and(|usage| usage.ref_count > 0))
            .count(),
        size: usage().map(|usage| usage.size).sum(),
        reclaimable: usage().filter(|usage| usage.ref_count == 0).map(|usage| usage.size).sum(),
        percent: true,
    }
}

fn build_cache(usage: &DiskUsage) -> Row {
    let records = usage.build_cache.as_deref().unwrap_or_default();
    let flag = |record: &serde_json::Value, name: &str| {
        record.get(name).and_then(serde_json::Value::as_bool) == Some(true)
    };
    let size = |filter: &dyn Fn(&serde_json::Value) -> bool| -> i64 {
        let sizes =
            records.iter().filter(|record| filter(record)).filter_map(|record| record.get("Size")?.as_i64());
        sizes.sum()
    };
    Row {
        kind: "Build Cache",
        total: records.len(),
        active: records.iter().filter(|record| flag(record, "InUse")).count(),
        size: if usage.builder_size > 0 {
            usage.builder_size
        } else {
            size(&|record| !flag(record, "Shared"))
        },
        reclaimable: size(&|record| !flag(record, "InUse") && !flag(record, "Shared")),
        percent: false,
    }
}

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let source = args.get("format").unwrap_or_default();
    let verbose = args.bool("verbose");
    if verbose && !matches!(source, "" | "table") {
        return Err(Error::invalid("the verbose listing has no other format: use it without --format"));
    }
    let usage: DiskUsage = cli.client()?.json(Request::get("/system/df")).await?;
    let text = if verbose { details(usage)? } else { summary(&usage, source)? };
    print(text).map(|()| 0)
}

fn summary(usage: &DiskUsage, source: &str) -> Result<String, Error> {
    let rows = vec![
        images(usage.images.as_deref().unwrap_or_default(), usage.layers_size),
        containers(usage.containers.as_deref().unwrap_or_default()),
        volumes(usage.volumes.as_deref().unwrap_or_default()),
        build_cache(usage),
    ];
    let format = match source {
        "raw" => Format::new(
            "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n",
            "",
            None,
        ),
        source => Format::new(source, TABLE, None),
    };
    format.render(Layout { columns: COLUMNS, go_type: "*formatter.diskUsageImagesContext" }, rows)
}

fn details(usage: DiskUsage) -> Result<String, Error> {
    let cache = human_size(build_cache(&usage).size as f64);
    let images =
        usage.images.unwrap_or_default().into_iter().map(|image| image::list::first_row(image, true));
    let containers = usage.containers.unwrap_or_default().into_iter().map(|mut container| {
        container.size_root_fs = 0;
        container::list::Row { container, trunc: true }
    });
    let table = |template| Format::new("table", template, None);
    Ok(format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\nBuild cache usage: {cache}\n\nCACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n",
        table(IMAGES).render(image::list::LAYOUT, images.collect())?,
        table(CONTAINERS).render(container::list::LAYOUT, containers.collect())?,
        table(VOLUMES).render(volume::list::LAYOUT, usage.volumes.unwrap_or_default())?,
    ))
}
