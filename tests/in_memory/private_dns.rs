//! Private DNS is taken over only where nobody can be cut off.

use crate::{
    memory::aws::{Delays, Route, VpcShape},
    scene::{Scene, scene},
};

async fn path_in(route: Route) -> (bool, bool) {
    let mut scene = Scene::new(Delays::default());
    let (vpc, _) = scene.vpc(&VpcShape { route, ..VpcShape::default() });
    scene.start();
    scene.apply_app("bot", &vpc);
    let object = scene.until_ready("bot").await;
    let world = scene.aws.world();
    let region = &world.regions[&Scene::region()];
    let endpoint = region.endpoints.values().next().expect("an endpoint");
    let function = region.functions.values().next().expect("a function");
    let url = function.detail.listing.configuration.environment.variables().get("AWS_ENDPOINT_URL_BEDROCK_RUNTIME");
    if let Some(url) = url {
        assert_eq!(Some(url.as_str()), endpoint.dns_names.first().map(|name| format!("https://{name}")).as_deref());
    }
    assert_eq!(object["status"]["endpoints"][0]["privateDnsEnabled"], endpoint.private_dns);
    (endpoint.private_dns, url.is_some())
}

#[tokio::test(start_paused = true)]
async fn a_vpc_with_a_nat_route_keeps_its_public_name_and_functions_get_the_endpoint_s() {
    assert_eq!(scene(path_in(Route::Nat)).await, (false, true));
}

#[tokio::test(start_paused = true)]
async fn a_vpc_without_another_way_out_gets_private_dns() {
    assert_eq!(scene(path_in(Route::Isolated)).await, (true, false));
}
